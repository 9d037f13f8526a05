"""Tables with a row for each image: CSV, TSV or Parquet. Imports no torch."""

import csv
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from labbook.data.class_folders import walk_files
from labbook.errors import SettingError, list_choices, list_first, printable

# Usual names of columns, in any case and without punctuation.
USUAL = {
    "image": (
        *("image", "filename", "file", "path", "filepath", "imagepath", "imagename", "imagefile", "imageid", "img"),
        *("imgpath", "photo", "id"),
    ),
    "label": ("label", "labels", "class", "classname", "category", "target", "species", "breed", "tags", "y"),
    "part": ("part", "split", "set", "subset", "partition"),
}


class Table(NamedTuple):
    """The cells of a file as text."""

    path: Path
    header: list[str]
    rows: list[list[str]]

    def column(self, kind: str, name: str | None, setting: str = "") -> str:
        """The name of a column: the given one, or one with a usual name; empty if there is none."""
        setting = setting or f"data.columns.{kind}"
        if name is not None:
            if name not in self.header:
                raise SettingError(
                    f"{setting}={name}: {printable(self.path)} has no such column;"
                    f" {list_choices(name, self.header, 'columns')}"
                )
            return name
        plain = {"".join(filter(str.isalnum, each.lower())): each for each in reversed(self.header)}
        return next((plain[usual] for usual in USUAL[kind] if usual in plain), "")

    def values(self, column: str) -> list[str]:
        place = self.header.index(column)
        cells = (row[place].strip() for row in self.rows)
        return ["" if cell.lower() == "nan" else cell for cell in cells]  # as pandas writes a missing value


def read_table(path: Path) -> Table:
    """Read Parquet (by the file name), or text with commas, semicolons or tabs."""
    if not path.is_file():
        where = "" if path.is_absolute() else f" in {printable(Path.cwd())}"
        what = "is a folder: give the table" if path.is_dir() else f"does not exist{where}"
        raise SettingError(f"data.labels={printable(path)} {what}")
    lines = parquet_lines(path) if path.suffix.lower() == ".parquet" else text_lines(path)
    header = [name.strip() for name in lines[0]] if lines else []
    rows = [line for line in lines[1:] if any(cell.strip() for cell in line)]
    if not rows or len(set(header)) < len(header):
        raise SettingError(
            f"data.labels={printable(path)} must have a first line with a different name for each column, and a line"
            " for each image"
        )
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise SettingError(
                f"data.labels={printable(path)} has {len(header)} columns, and {len(row)} cells in row {number + 1}:"
                f" {printable(','.join(row))}"
            )
    return Table(path, header, rows)


def text_lines(path: Path) -> list[list[str]]:
    """The cells of a text file; the separator is the most frequent one in the first line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        separator = max(",;\t", key=first.count)
        return list(csv.reader(StringIO(text, newline=""), delimiter=separator))
    except UnicodeDecodeError as error:
        raise SettingError(f"data.labels={printable(path)} is not text in UTF-8: save it as CSV in UTF-8") from error
    except (OSError, csv.Error) as error:
        raise SettingError(f"data.labels={printable(path)} cannot be read: {printable(error)}") from error


def parquet_lines(path: Path) -> list[list[str]]:
    if not find_spec("pyarrow"):
        raise SettingError(f"data.labels={printable(path)} needs pyarrow (pip install pyarrow), or save it as CSV")
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table as read_parquet

    try:
        columns = read_parquet(path).to_pydict()
    except (OSError, ArrowException) as error:
        raise SettingError(f"data.labels={printable(path)} cannot be read: {printable(error)}") from error
    cells = [["" if cell is None else str(cell) for cell in column] for column in columns.values()]
    return [list(columns), *map(list, zip(*cells, strict=True))]


def image_paths(root: Path, names: Sequence[str], skip: bool) -> list[Path | None]:
    """The file of each name: a path below `root`, or the only file there with this name, with or without extension.

    Paths can be those of Windows. With `skip`, None for a missing file.
    """
    names = [name.replace("\\", "/") if "\\" in name and not (root / name).is_file() else name for name in names]
    found: list[Path | None] = [root / name if name and (root / name).is_file() else None for name in names]
    if all(found):
        return found
    known: dict[str, list[Path]] = {}
    for path in walk_files(root, {}) if root.is_dir() else ():
        for key in {path.name, path.stem}:
            known.setdefault(key, []).append(path)
    for row, name in enumerate(names):
        several = known.get(Path(name).name, []) if found[row] is None else []
        if len(several) > 1:
            raise SettingError(
                f"{name} could be {printable(several[0])} or {printable(several[1])}: give paths below"
                f" data.root={printable(root)} in the table"
            )
        if several:
            found[row] = several[0]
    missing = [name for name, path in zip(names, found, strict=True) if path is None]
    if missing and not skip:
        raise SettingError(
            f"{len(missing):,} of {len(names):,} images of the table do not exist in data.root={printable(root)}"
            f" ({list_first(map(printable, missing))}); data.on_corrupt=skip leaves them out"
        )
    return found


def several_labels(columns: Iterable[Sequence[str]], names: Sequence[str]) -> list[tuple[int, ...]]:
    """The labels of each image, 0 or 1 for each class, from a column for each class; () if all cells are empty."""
    numbers = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
    found: list[tuple[int, ...]] = []
    for cells in zip(*columns, strict=True):
        if not any(cells):
            found.append(())
            continue
        for name, cell in zip(names, cells, strict=True):
            if cell.lower() not in numbers:
                raise SettingError(f"column {name} must have 0 or 1 for each image, not {cell!r}")
        found.append(tuple(numbers[cell.lower()] for cell in cells))
    return found
