"""Tables as CSV for people, who open them with a spreadsheet. Imports no torch."""

import csv
import io
from collections.abc import Iterable

# What a spreadsheet takes for the beginning of a formula, also in the wide letters of Chinese and Japanese.
FORMULA = ("=", "+", "-", "@", "\t", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV in which no text is a formula: one that begins as a formula does stands behind a `'`.

    Numbers, and texts that are numbers, stay as they are.
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(map(escape_formula, row) for row in rows)
    return out.getvalue()


def escape_formula(cell: object) -> object:
    """A cell that no spreadsheet computes."""
    if not isinstance(cell, str):
        return cell
    cell = cell.replace("\r", r"\r")  # which Python's csv does not quote, and its readers take for a line's end
    if not cell.startswith(FORMULA) or parses_as_number(cell):
        return cell
    return f"'{cell}"


def parses_as_number(text: str) -> bool:
    """Whether a text is a number, such as -1e-3, and not one behind a line's end."""
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
