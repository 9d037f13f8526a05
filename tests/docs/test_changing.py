"""docs/changing.md: its code is that of tests/own, and its numbers of lines are right."""

import re

from tests.docs.pages import PAGES, PROJECT, ROOT, blocks

PAGE = PAGES["docs/changing.md"]
FILE = re.compile(r"^`((?:src|configs)/[\w/.]+)`\n\n```(python|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def section(heading: str) -> str:
    """The text below a heading, up to the next one of its level."""
    marks = re.escape(heading.partition(" ")[0])
    return re.split(rf"^{marks} ", PAGE.partition(f"\n{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def lines(text: str) -> int:
    return len([line for line in text.splitlines() if line.strip()])


def test_the_code_is_that_of_files_that_are_tested() -> None:
    shown = FILE.findall(PAGE)
    assert len(shown) == sum(len(blocks(language, PAGE)) for language in ("python", "yaml"))
    for name, _, code in shown:
        assert code == (PROJECT / name.removeprefix("src/")).read_text(encoding="utf-8"), name


def test_the_lines_of_each_change_are_counted() -> None:
    rows = re.findall(r"^\| \[([^\]]+)\]\(#[\w-]+\) \| (\d+) \| (\d+) \|", PAGE, re.MULTILINE)
    headings = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
    assert [heading.lower() for heading in headings] == [row[0].lower() for row in rows]
    for heading, (_, code, settings) in zip(headings, rows, strict=True):
        files = FILE.findall(section(f"### {heading}"))
        python, yaml = (sum(lines(text) for _, kind, text in files if kind == each) for each in ("python", "yaml"))
        assert (python, yaml) == (int(code), int(settings)), heading


def test_what_there_is_to_read_is_short() -> None:
    rows = re.findall(r"^\| [^|`]+ \| (`.+`) \| (\d+) \|$", section("## Source files to read first"), re.MULTILINE)
    assert rows
    for cell, count in rows:
        files = re.findall(r"`([\w/]+\.py)`", cell)
        actual = sum(len((ROOT / "src" / "labbook" / name).read_text(encoding="utf-8").splitlines()) for name in files)
        assert abs(actual - int(count)) < 0.1 * actual, cell
        assert actual < 650, cell
