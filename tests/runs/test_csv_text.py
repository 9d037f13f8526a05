"""Tables for spreadsheets, which compute nothing of them."""

import csv
import io

from labbook.runs.outputs import csv_text
from tests.cases import each_case


@each_case(
    "text",
    [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-1+1",
        "@SUM(1)",
        "\t=1",
        "\n=1",
        "＝1",
        '=HYPERLINK("x","y")',
        "-",
        "-1\n",
    ],
)
def test_no_text_is_a_formula(text: str) -> None:
    assert list(csv.reader(io.StringIO(csv_text([["a", text]]), newline=""))) == [["a", f"'{text}"]]


def test_a_carriage_return_ends_no_row() -> None:
    assert csv_text([["a\r=1", "\r=1"]]) == "a\\r=1,\\r=1\n"


@each_case("cell", [-1, -0.5, "-1e-3", "+3", "-inf", "-.5", "+.5e-3", "-Infinity", "a=b", "cat", "", "a-b", "'=1"])
def test_numbers_and_other_texts_stay(cell: object) -> None:
    assert csv_text([[cell, 0]]) == f"{cell},0\n"
