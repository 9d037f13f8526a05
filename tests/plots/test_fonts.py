"""Names of classes in plots: which font draws them, and what stands for those that none draws."""

import logging
from pathlib import Path

import pytest
from matplotlib import get_data_path

from labbook.plots import fonts

TTF = Path(get_data_path()) / "fonts" / "ttf"
OTHER = TTF / "STIXGeneral.ttf"  # which stands for a font that has what the first one lacks
LACKING = next(chr(point) for point in sorted(fonts.font_characters(OTHER) - fonts.font_characters(fonts.FILE)))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The fonts of a machine, to be changed."""
    found: list[Path] = []
    monkeypatch.setattr(fonts, "installed_fonts", lambda: tuple(found))
    fonts.further_fonts.cache_clear()
    fonts.note_replaced_names.cache_clear()
    return found


def test_a_font_that_has_the_characters_is_chosen(installed: list[Path]) -> None:
    installed += [TTF / "STIXGeneralBol.ttf", TTF / "DejaVuSans-Bold.ttf", OTHER]
    assert fonts.font_families(["cat", LACKING]) == ["DejaVu Sans", "STIXGeneral"]
    assert fonts.drawable_names([f"a{LACKING}b"]) == [f"a{LACKING}b"]
    assert [(part, Path(str(font.path)).name) for part, font in fonts.split_by_font(f"a{LACKING} b", 12)] == [
        ("a", "DejaVuSans.ttf"), (f"{LACKING} ", OTHER.name), ("b", "DejaVuSans.ttf"),
    ]  # fmt: skip


def test_without_one_the_number_is_drawn_and_said_once(installed: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    assert installed == []
    with caplog.at_level(logging.WARNING, "labbook"):
        for _ in range(2):
            assert fonts.drawable_names(["cat", "猫", "😀\ufe0f", "e\u0301\n\x1b"]) == [
                "cat",
                "class 1",
                "😀",
                "é \\x1b",
            ]
    assert len(caplog.records) == 1
    assert "have all characters" not in caplog.text
    assert "characters of 1 class names, so plots show their numbers: 1 is 猫;" in caplog.text
    assert fonts.replace_undrawable("logs/猫") == "logs/?"


def test_a_name_from_right_to_left_leaves_its_surroundings_in_order() -> None:
    assert fonts.drawable_names(["كلب", "dog"]) == ["\u200eكلب\u200e", "dog"]


def test_the_middle_of_a_long_name_is_left_out(installed: list[Path]) -> None:
    names = [f"{'a long name of a class ' * 20}{number}" for number in range(2)]
    short = [fonts.fit_text(name, 12, 100) for name in names]
    assert len(set(short)) == 2
    assert all(80 < fonts.width_of_text(name, 12) <= 100 for name in short)
    assert fonts.fit_text("short", 12, 100) == "short"
    assert fonts.wrap_text("one two three", 12, fonts.width_of_text("one two", 12)) == ["one two", "three"]


def test_a_file_that_is_no_font_draws_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.ttf").write_text("no font")
    assert fonts.font_characters(tmp_path / "a.ttf") == frozenset()
