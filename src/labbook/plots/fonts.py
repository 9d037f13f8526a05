"""Fonts for plots: which of those that are installed have the characters of a text. Imports no torch."""

import logging
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

log = logging.getLogger("labbook")

FILE = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
FAMILY = "DejaVu Sans"  # that of FILE, which comes with matplotlib
UNWANTED = ("bold", "black", "heavy", "light", "thin", "italic", "oblique", "mono", "serif", "condensed", "narrow")
SAID = 5  # names in a note
CUT = "…"


def families(texts: Iterable[str]) -> list[str]:
    """What to give matplotlib as `family` for these texts: it takes each character from the first font that has it."""
    return [FAMILY, *(family_of(file) for file in others("".join(texts)))]


def drawable(names: Sequence[str]) -> list[str]:
    """The names of classes as they can be drawn: on one line, or as a number where no font has their characters.

    The numbers are said once, by the log.
    """
    lines = [one_line(name) for name in names]
    lacking = missing("".join(lines), others("".join(lines)))
    numbers = tuple(number for number, line in enumerate(lines) if not lacking.isdisjoint(line))
    if numbers:
        say(tuple((number, lines[number]) for number in numbers))
    return [f"class {number}" if number in numbers else apart(line) for number, line in enumerate(lines)]


def replaced(text: str) -> str:
    """A text that is no class' name, as it can be drawn: with a ? for each character that no font has."""
    line = one_line(text)
    lacking = missing(line, others(line))
    return apart("".join("?" if sign in lacking else sign for sign in line))


@cache
def say(classes: tuple[tuple[int, str], ...]) -> None:
    """Tell once which number stands for which name."""
    legend = ", ".join(f"{number} is {name}" for number, name in classes[:SAID])
    more = f" and {len(classes) - SAID} more" if len(classes) > SAID else ""
    log.warning(
        "note: no installed font has all characters of %s class names, so plots show their numbers: %s%s;"
        " install a font that has them, such as Noto Sans CJK",
        len(classes), legend, more,
    )  # fmt: skip


def one_line(text: str) -> str:
    """A text without line breaks, other control characters and marks that no font draws, such as variation selectors.

    Joiners stay, as they shape Arabic and Indic letters.
    """
    composed = unicodedata.normalize("NFC", text)  # macOS takes letters and their accents apart
    shown = (" " if sign.isspace() else sign for sign in composed if not unseen(sign) or sign in "\u200c\u200d")
    return "".join(sign if sign.isprintable() or unseen(sign) else ascii(sign)[1:-1] for sign in shown)


def apart(name: str) -> str:
    """A name that does not turn round what stands before and after it, where it is written from right to left."""
    turned = any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in name)
    return f"\u200e{name}\u200e" if turned else name


def unseen(sign: str) -> bool:
    """Whether a character only changes how others look."""
    return unicodedata.category(sign) == "Cf" or "\ufe00" <= sign <= "\ufe0f"


@cache
def others(text: str) -> tuple[Path, ...]:
    """Installed fonts, as few as will do, that have characters of the text which `FILE` has not."""
    lacking, found = missing(text, ()), []
    while lacking and (best := max(installed(), key=lambda file: suitable(file, lacking), default=None)):
        if characters(best).isdisjoint(map(ord, lacking)):
            break
        found.append(best)
        lacking = {sign for sign in lacking if ord(sign) not in characters(best)}
    return tuple(found)


def suitable(file: Path, lacking: Iterable[str]) -> tuple[int, int, str]:
    """Sorts the best font last: the one with most of the characters, and of these a plain one."""
    there = sum(ord(sign) in characters(file) for sign in lacking)
    font = FT2Font(str(file)) if there else None
    style = f"{font.family_name} {font.style_name}".lower() if font else ""
    return there, -sum(word in style for word in UNWANTED), file.name


def missing(text: str, fonts: Iterable[Path]) -> set[str]:
    """The characters that neither `FILE` nor any of these fonts has."""
    known = [characters(file) for file in (FILE, *fonts)]
    return {sign for sign in text if not unseen(sign) and not any(ord(sign) in each for each in known)}


@cache
def installed() -> tuple[Path, ...]:
    """The font files of this machine."""
    return tuple(sorted(map(Path, font_manager.findSystemFonts())))


@cache
def characters(file: Path) -> frozenset[int]:
    """The code points that a font draws; none where it cannot be read, or has pictures of one size only."""
    try:
        font = FT2Font(str(file))
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()


@cache
def family_of(file: Path) -> str:
    """The name by which matplotlib knows a font from now on."""
    font_manager.fontManager.addfont(file)
    return FT2Font(str(file)).family_name


@cache
def font(size: int, file: Path = FILE) -> ImageFont.FreeTypeFont:
    """A font for Pillow; `size` in pixels."""
    return ImageFont.truetype(str(file), size)


def pieces(text: str, size: int) -> Iterator[tuple[str, ImageFont.FreeTypeFont]]:
    """A text in parts that one font can draw, each with this font of Pillow."""
    fonts = (FILE, *others(text))
    part, current = "", FILE
    for sign in text:
        file = next((each for each in fonts if ord(sign) in characters(each)), FILE)
        file = current if part and (unseen(sign) or sign == " ") else file
        if part and file != current:
            yield part, font(size, current)
            part = ""
        part, current = part + sign, file
    if part:
        yield part, font(size, current)


def width(text: str, size: int) -> float:
    """How wide a text is at a size, in the unit of the size."""
    return sum(each.getlength(part) for part, each in pieces(text, size))


def fitted(text: str, size: int, room: float) -> str:
    """A text that is no wider than `room`: where it is, its middle is left out, as names differ at their ends."""
    if width(text, size) <= room:
        return text
    left, right = (len(text) + 1) // 2, len(text) // 2
    while left + right > 2 and width(text[:left] + CUT + text[len(text) - right :], size) > room:
        left, right = (left - 1, right) if left > right else (left, right - 1)
    return text[:left] + CUT + text[len(text) - right :]


def wrapped(text: str, size: int, room: float) -> list[str]:
    """A text in lines no wider than `room`, broken between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width(longer, size) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return [fitted(line, size, room) for line in lines]
