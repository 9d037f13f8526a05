"""CSV files for people who open them in a spreadsheet. Imports no torch."""

import csv
import io
from collections.abc import Iterable

# The first character of a formula in a spreadsheet, also in the wide letters of Chinese and Japanese.
FORMULA = ("=", "+", "-", "@", "\t", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV in which no text is a formula: such a text gets a `'` in front.

    Numbers, and texts that are numbers, do not change.
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(map(escape_formula, row) for row in rows)
    return out.getvalue()


def escape_formula(cell: object) -> object:
    """A cell that no spreadsheet evaluates."""
    if not isinstance(cell, str):
        return cell
    cell = cell.replace("\r", r"\r")  # Python's csv does not quote it, and its readers take it for the end of a line
    if not cell.startswith(FORMULA) or parses_as_number(cell):
        return cell
    return f"'{cell}"


def parses_as_number(text: str) -> bool:
    """Whether a text is a number, such as -1e-3, without a line break."""
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
