"""Fonts for plots: which installed fonts have the characters of a text. Imports no torch."""

import logging
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

from labbook.errors import list_first

log = logging.getLogger("labbook")

FILE = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
FAMILY = "DejaVu Sans"  # the family of FILE, which is part of matplotlib
UNWANTED = ("bold", "black", "heavy", "light", "thin", "italic", "oblique", "mono", "serif", "condensed", "narrow")
CUT = "…"


def font_families(texts: Iterable[str]) -> list[str]:
    """The `family` for matplotlib: it takes each character from the first font that has it."""
    return [FAMILY, *(family_of(file) for file in further_fonts("".join(texts)))]


def drawable_names(names: Sequence[str]) -> list[str]:
    """The names of classes as they can be drawn: on one line, or as a number if no font has their characters.

    The numbers are logged once.
    """
    lines = [one_line(name) for name in names]
    lacking = missing_characters("".join(lines), further_fonts("".join(lines)))
    numbers = tuple(number for number, line in enumerate(lines) if not lacking.isdisjoint(line))
    if numbers:
        note_replaced_names(tuple((number, lines[number]) for number in numbers))
    return [f"class {number}" if number in numbers else isolate_direction(line) for number, line in enumerate(lines)]


def replace_undrawable(text: str) -> str:
    """A text with a ? for each character that no font has."""
    line = one_line(text)
    lacking = missing_characters(line, further_fonts(line))
    return isolate_direction("".join("?" if sign in lacking else sign for sign in line))


@cache
def note_replaced_names(classes: tuple[tuple[int, str], ...]) -> None:
    """Log once which number stands for which name."""
    log.warning(
        "note: no installed font has all characters of %s class names, so plots show their numbers: %s;"
        " install such a font, as Noto Sans CJK",
        len(classes), list_first(f"{number} is {name}" for number, name in classes),
    )  # fmt: skip


def one_line(text: str) -> str:
    """A text without line breaks, control characters and invisible characters, such as variation selectors.

    Joiners stay: they shape Arabic and Indic letters.
    """
    composed = unicodedata.normalize("NFC", text)  # macOS separates letters and accents
    shown = (" " if sign.isspace() else sign for sign in composed if not is_invisible(sign) or sign in "\u200c\u200d")
    return "".join(sign if sign.isprintable() or is_invisible(sign) else ascii(sign)[1:-1] for sign in shown)


def isolate_direction(name: str) -> str:
    """A right-to-left name that does not change the order of the text around it."""
    turned = any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in name)
    return f"\u200e{name}\u200e" if turned else name


def is_invisible(sign: str) -> bool:
    """Whether a character only changes how others look."""
    return unicodedata.category(sign) == "Cf" or "\ufe00" <= sign <= "\ufe0f"


@cache
def further_fonts(text: str) -> tuple[Path, ...]:
    """The fewest installed fonts that have the characters of the text that `FILE` does not have."""
    lacking, found = missing_characters(text, ()), []
    while lacking and (best := max(installed_fonts(), key=lambda file: font_rank(file, lacking), default=None)):
        if font_characters(best).isdisjoint(map(ord, lacking)):
            break
        found.append(best)
        lacking = {sign for sign in lacking if ord(sign) not in font_characters(best)}
    return tuple(found)


def font_rank(file: Path, lacking: Iterable[str]) -> tuple[int, int, str]:
    """Sort key: the best font last, with most of the characters, and plain."""
    there = sum(ord(sign) in font_characters(file) for sign in lacking)
    font = FT2Font(str(file)) if there else None
    style = f"{font.family_name} {font.style_name}".lower() if font else ""
    return there, -sum(word in style for word in UNWANTED), file.name


def missing_characters(text: str, fonts: Iterable[Path]) -> set[str]:
    """The characters that neither `FILE` nor these fonts have."""
    known = [font_characters(file) for file in (FILE, *fonts)]
    return {sign for sign in text if not is_invisible(sign) and not any(ord(sign) in each for each in known)}


@cache
def installed_fonts() -> tuple[Path, ...]:
    return tuple(sorted(map(Path, font_manager.findSystemFonts())))


@cache
def font_characters(file: Path) -> frozenset[int]:
    """The code points of a font; empty if it cannot be read, or has bitmaps of one size only."""
    try:
        font = FT2Font(str(file))
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()


@cache
def family_of(file: Path) -> str:
    font_manager.fontManager.addfont(file)
    return FT2Font(str(file)).family_name


@cache
def pillow_font(size: int, file: Path = FILE) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(file), size)


def split_by_font(text: str, size: int) -> Iterator[tuple[str, ImageFont.FreeTypeFont]]:
    """A text in parts that one font can draw, each with its Pillow font."""
    fonts = (FILE, *further_fonts(text))
    part, current = "", FILE
    for sign in text:
        file = next((each for each in fonts if ord(sign) in font_characters(each)), FILE)
        file = current if part and (is_invisible(sign) or sign == " ") else file
        if part and file != current:
            yield part, pillow_font(size, current)
            part = ""
        part, current = part + sign, file
    if part:
        yield part, pillow_font(size, current)


def width_of_text(text: str, size: int) -> float:
    """The width of a text at a size, in the unit of the size."""
    return sum(each.getlength(part) for part, each in split_by_font(text, size))


def fit_text(text: str, size: int, room: float) -> str:
    """A text no wider than `room`: the middle is left out, because names differ at their ends."""
    if width_of_text(text, size) <= room:
        return text
    left, right = (len(text) + 1) // 2, len(text) // 2
    while left + right > 2 and width_of_text(text[:left] + CUT + text[len(text) - right :], size) > room:
        left, right = (left - 1, right) if left > right else (left, right - 1)
    return text[:left] + CUT + text[len(text) - right :]


def wrap_text(text: str, size: int, room: float) -> list[str]:
    """A text in lines no wider than `room`, broken between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of_text(longer, size) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return [fit_text(line, size, room) for line in lines]
