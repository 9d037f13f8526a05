"""Published and ours as pictures: all figures' differences, and accuracy by epoch where a lab told it."""

import io
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labbook.config.published import matching_entry
from labbook.reports.curves import mean_curve
from labbook.reports.grouping import SettingRow
from labbook.reports.svg_charts import STYLE, set_whole_number_ticks
from labbook.reports.table_cells import metric_title
from tools.results.published_vs_ours import TOLERANCE, Line, is_accuracy

INK, SOFT, GRID, OURS, THEIRS = "#1c2126", "#5d6873", "#e3e7eb", "#0072b2", "#d55e00"
LIGHT = STYLE | {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "grid.color": GRID,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "#ffffff",
    "svg.fonttype": "path",  # the same on every machine
}
ACROSS = 3  # pictures in a row


def of_tests(lines: Sequence[Line]) -> str:
    """As `differences`, of the test accuracies alone."""
    return differences([line for line in lines if line.name == "test/acc"])


def differences(lines: Sequence[Line]) -> str:
    """An SVG: ours less published, in points of accuracy, with the deviation over the seeds."""
    shown = [line for line in lines if is_accuracy(line.name)]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axvspan(-100 * TOLERANCE, 100 * TOLERANCE, color=GRID, linewidth=0)
        axes.axvline(0, color=SOFT, linewidth=0.8)
        spreads = [100 * (line.ours.sd or 0.0) for line in shown]
        points = [100 * line.difference for line in shown]
        axes.errorbar(points, range(len(shown)), xerr=spreads, fmt="o", color=OURS, markersize=4, elinewidth=1)
        names = [f"{line.system}  {line.label}  {metric_title(line.name)}" for line in shown]
        axes.set_yticks(range(len(shown)), names, fontsize=7)
        axes.set(ylim=(len(shown) - 0.5, -0.5), xlabel="ours minus published, percentage points")
        axes.set_xscale("symlog", linthresh=1.0)
        ticks = [-20, -10, -5, -2, -1, -0.5, 0, 0.5, 1, 2, 5, 10, 20]
        axes.set_xticks(ticks, [f"{tick:+g}" if tick else "0" for tick in ticks])
        axes.set_xlim(min([-1.5, *points]) * 1.1, max([1.5, *points]) * 1.1)

    return svg(draw, (7.5, 1.0 + 0.17 * len(shown)))


def by_epoch(lines: Sequence[Line]) -> str:
    """An SVG: one picture for each curve that a lab told, with ours and its deviation over the seeds."""
    rows = list({id(line.row): line for line in lines}.values())
    told = [(line, name, values) for line in rows for name, values in told_of(line.row).items()]
    down = max(1, -(-len(told) // ACROSS))

    def draw(figure: Figure) -> None:
        every = figure.subplots(down, ACROSS, squeeze=False).ravel().tolist()
        for axes, (line, name, values) in zip(every, told, strict=False):
            draw_curves(axes, line.row, name, values)
            on_test = line.row.runs[0].settings.get("data.validation") == "test"
            words = metric_title(name).replace("val", "test") if on_test else metric_title(name)
            axes.set_title(f"{line.system}: {words} by epoch")
        for axes in every[len(told) :]:
            axes.set_axis_off()
        handles, names = every[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)

    return svg(draw, (9.0, 0.5 + 2.4 * down))


def told_of(row: SettingRow) -> dict[str, list[float]]:
    """The curves that a lab published of a setting."""
    found: dict[str, list[float]] = (matching_entry(row.runs[0].config) or {}).get("by_epoch", {})
    return found


def draw_curves(axes: Axes, row: SettingRow, name: str, published: Sequence[float]) -> None:
    """Published as diamonds, ours as a line with its deviation."""
    axes.plot(
        range(1, len(published) + 1), published, "D", color=THEIRS, markersize=4, fillstyle="none", label="published"
    )
    if found := mean_curve(row.finished, name):
        epochs, means, spreads = found
        axes.plot(epochs, means, color=OURS, label="ours")
        if spreads is not None:
            axes.fill_between(epochs, means - spreads, means + spreads, color=OURS, alpha=0.2, linewidth=0)
    set_whole_number_ticks(axes)


def svg(draw: object, size: tuple[float, float]) -> str:
    """A figure of so many inches on white."""
    assert callable(draw)
    with mpl.rc_context(LIGHT):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
