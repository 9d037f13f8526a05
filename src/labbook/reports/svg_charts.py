"""Charts of a page: matplotlib figures as inline SVG in the page's colours."""

import io
import itertools
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from labbook.reports.columns import is_axis_number, value_order, value_text

# The light colours of page.css, for images; in a page they become its variables, which are light or dark.
INK, SOFT, GRID, OTHERS, PAPER = "#1c2126", "#5d6873", "#e3e7eb", "#9aa4ae", "#ffffff"
SERIES = ("#0072b2", "#d55e00", "#008a66", "#b0508a", "#b98200", "#47a5e0")
VARIABLES = {INK: "ink", SOFT: "soft", GRID: "grid", OTHERS: "others", PAPER: "paper"} | {
    colour: f"series-{index}" for index, colour in enumerate(SERIES, 1)
}
DASHES = ("solid", (0, (4, 2)))
MOST_LINES = len(SERIES) * len(DASHES)
WIDE_SPAN = 30  # largest / smallest value from which an axis is logarithmic
LONGEST = 24  # characters of a label

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "labbook",  # the same picture always has the same internal names
    "text.parse_math": False,  # class names may have a $
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.6,
}


@dataclass(frozen=True)
class Picture:
    """An SVG with its texts."""

    svg: Markup
    caption: str
    draw: Callable[[Axes], None] = Axes.clear  # draws the same into other axes
    lines: Sequence["LineStyle"] = ()  # its own legend, if it has one


@dataclass(frozen=True)
class LineStyle:
    """The style of a setting's line, and its name in the legend."""

    label: str
    colour: str
    dashes: Any

    @property
    def named(self) -> bool:
        """Whether it has a colour, and so a place in the legend."""
        return self.colour != OTHERS

    @property
    def css(self) -> Markup:
        dashed = "" if self.dashes == "solid" else "; stroke-dasharray: 6 3"
        return Markup(f"stroke: var(--{VARIABLES[self.colour]}){dashed}")


_numbers = itertools.count(1)


def make_picture(
    draw: Callable[[Axes], None],
    caption: str,
    alt: str,
    size: tuple[float, float] = (5.0, 3.2),  # inches
    lines: Sequence[LineStyle] = (),
) -> Picture:
    """A drawing with its caption, its alternative text and, if it has one, its legend."""

    def figure() -> Figure:
        made = Figure(figsize=size, layout="constrained")
        draw(made.subplots())
        return made

    return replace(picture_of(figure, caption, alt), draw=draw, lines=lines)


def picture_of(figure: Callable[[], Figure], caption: str, alt: str) -> Picture:
    """A figure, created in the style of the page, with its caption and its alternative text."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the browser has other fonts
        out = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure().savefig(out, format="svg", metadata=nothing)
    return Picture(inline_svg(out.getvalue(), alt, f"p{next(_numbers)}-"), caption)


def inline_svg(svg: str, alt: str, prefix: str) -> Markup:
    """SVG as part of a page: with the page's colours, unique names and an alternative text."""
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r"<style.*?</style>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{prefix}", svg)
    colours = re.compile("|".join(VARIABLES))
    svg = colours.sub(lambda found: f"var(--{VARIABLES[found.group()]})", svg)
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None
    start = Markup('<svg role="img" aria-label="{}" ').format(alt)
    opening = f'{start}{view.group()} xmlns:xlink="http://www.w3.org/1999/xlink">'
    return Markup(opening + svg[svg.index(">") + 1 :].strip())


def line_styles(labels: Sequence[str]) -> list[LineStyle]:
    """A style for each setting: colours, then dashed colours, then grey."""
    looks = [(colour, dashes) for dashes in DASHES for colour in SERIES]
    looks += [(OTHERS, "solid")] * max(len(labels) - len(looks), 0)
    return [LineStyle(label, *look) for label, look in zip(labels, looks, strict=False)]


def spans_widely(values: Sequence[float]) -> bool:
    """Whether positive numbers differ so much that a logarithmic axis shows them better."""
    finite = [value for value in values if np.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) > WIDE_SPAN


def set_logarithmic(axes: Axes, which: str, ticks: Sequence[float] | None = None) -> None:
    """Make the x or y axis logarithmic, with plain numbers at the decades or at `ticks`."""
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    low, high = sorted(getattr(axes, f"get_{which}lim")())
    subs = (1.0,) if high / low > 100 else (1.0, 2.0, 5.0)
    if ticks:
        axis.set_ticks(ticks)
    else:
        axis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def set_whole_number_ticks(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


class Scale:
    """Positions of a setting's values on an axis: numbers, or words in order."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = sorted({value_text(value): value for value in values}.values(), key=value_order)
        self.numeric = len(self.values) > 1 and all(map(is_axis_number, self.values))
        self.log = self.numeric and spans_widely([float(value) for value in self.values])
        self._places = {value_text(value): index for index, value in enumerate(self.values)}

    def __contains__(self, value: object) -> bool:
        return value_text(value) in self._places

    def coordinate(self, value: Any) -> float:
        return float(value) if self.numeric else float(self._places[value_text(value)])

    def index(self, value: Any) -> int:
        return self._places[value_text(value)]

    def label(self, axes: Axes, name: str, which: str = "x") -> None:
        getattr(axes, f"set_{which}label")(shorten_label(name))
        if self.log:
            set_logarithmic(axes, which, [float(value) for value in self.values] if self._roomy() else None)
        elif self.numeric and self._roomy():
            ticks, names = [float(value) for value in self.values], [value_text(value) for value in self.values]
            getattr(axes, f"set_{which}ticks")(ticks, names)
        elif not self.numeric:
            getattr(axes, f"set_{which}lim")(-0.5, len(self.values) - 0.5)
            name_ticks(axes, which, self.values)

    def _roomy(self) -> bool:
        """Whether there is room for a number at each value."""
        numbers = np.array([float(value) for value in self.values])
        places = np.log(numbers) if self.log else numbers
        longest = max(len(value_text(value)) for value in self.values)
        return bool(np.diff(places).min() / np.ptp(places) > 0.02 + 0.02 * longest)


def name_ticks(axes: Axes, which: str, values: Sequence[Any]) -> None:
    """A tick for each value, rotated for long words."""
    names = [shorten_label(value_text(value)) for value in values]
    turned = which == "x" and max(map(len, names), default=0) * len(names) > 44
    look = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    getattr(axes, f"set_{which}ticks")(range(len(names)), names, **look)


def shorten_label(words: str, longest: int = LONGEST) -> str:
    line = " ".join(words.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
