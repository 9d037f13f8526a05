"""Image files with labels in a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labbook.config.path_rules import expand_user
from labbook.data.datamodule import Part
from labbook.data.image_cache import Labelled
from labbook.data.label_file import Table, image_paths, read_table, several_labels
from labbook.data.layouts import role_of
from labbook.data.photographs import Fraction, Listing, PhotographData
from labbook.errors import SettingError, list_first, printable

Label = int | tuple[int, ...]


@dataclass(frozen=True)
class Columns:
    """The names of the columns; empty if there is none."""

    image: str
    label: tuple[str, ...]
    part: str
    group: str


class LabelTable(PhotographData):
    """Images in `root` (default: the folder of the table), with a row for each in the table `labels`.

    `columns` has the names of the columns image, label and part; by default those with usual names. Several label
    columns of 0 and 1, or a `label_separator` in the cells, are for images with several classes. Without a test part,
    `test_fraction` of each class is drawn. Images with the same value in the column `group` are in one part. Rows
    without a label are left out.
    """

    test_may_lack_classes = True

    def __init__(
        self,
        *,
        labels: str | None = None,
        root: str | None = None,
        columns: Mapping[str, Any] | None = None,
        label_separator: str | None = None,
        group: str | None = None,
        test_fraction: Fraction | None = None,
        only: Part | None = None,
        **options: Any,
    ) -> None:
        if labels is None:
            raise SettingError("data.labels is not set: give the table of labels, data.labels=FILE.csv")
        if group and options.get("val_split", "stratified") != "stratified":
            raise SettingError(f"data.val_split={options['val_split']} would divide groups: use stratified")
        self.table_path = Path(expand_user("data.labels", labels))
        table = read_table(self.table_path)
        folder = Path(expand_user("data.root", root)) if root is not None else self.table_path.parent
        self.columns = columns_of(table, dict(columns or {}), group)
        self.multilabel = len(self.columns.label) > 1 or bool(label_separator)
        self.class_names, found = labels_of(table, self.columns, label_separator)
        if only is None and len(self.class_names) < 2:
            raise SettingError(
                f"column {printable(self.columns.label[0])} of {printable(self.table_path)} must have two or more"
                f" classes, not {printable(''.join(self.class_names) or 'none')}"
            )
        self.entries, self.left_out = entries(
            table, self.columns, found, folder, options.get("on_corrupt", "raise") == "skip"
        )
        roles = {role for role, _ in self.entries}
        if "test" not in roles and "val" in roles and test_fraction is None:
            self.entries = tuple(("test" if role == "val" else role, file) for role, file in self.entries)
        has_test = any(role == "test" for role, _ in self.entries)
        test_fraction = self.choose_test_fraction(has_test, test_fraction, only)
        if not has_test and not self.draws_test and only == "test":  # test all of another data set
            self.entries = tuple(("test", file) for _, file in self.entries)
        check_groups(self.entries)
        super().__init__(root=str(folder), test_fraction=test_fraction, only=only, **options)

    def listing(self) -> Listing:
        train, test = self._files_of("train"), self._files_of("test")
        if self.validation == "split":
            train += [Labelled(file.path, file.label, True, file.group) for file in self._files_of("val")]
        if self.draws_test:
            train, test = self.draw_test(train)
        remarks = (self.left_out,) if self.left_out else ()
        return Listing([] if self.only == "test" else train, [] if self.only == "train" else test, remarks)

    def _files_of(self, role: str) -> list[Labelled]:
        files = (file for each, file in self.entries if each == role)
        return sorted(files, key=lambda file: (file.label, file.path))

    def where(self, part: Part, name: str = "") -> str:
        of_class = f"class {name}" if name else "the images"
        return f"{of_class} of the {'training' if part == 'train' else 'test'} part in {printable(self.table_path)}"

    @property
    def notes(self) -> list[str]:
        if self.only is not None:
            return super().notes
        names = self.columns
        several = ", several per image" * self.multilabel
        label = f"label in {list_first(names.label)} ({len(self.class_names):,} classes{several})"
        used = [f"image in {names.image}", label]
        used += [f"{what} in {name}" for what, name in (("part", names.part), ("group", names.group)) if name]
        drawn = f"; test images drawn (data.test_fraction={self.test_fraction:g})" if self.draws_test else ""
        ignored = self.test_fraction is not None and not self.draws_test
        unused = ["data.test_fraction has no effect, as the table has a test part"] if ignored else []
        return [f"table: columns {', '.join(used)}{drawn}", *unused, *super().notes]


def columns_of(table: Table, named: Mapping[str, Any], group: str | None) -> Columns:
    """The given columns, or those with usual names."""
    label = named.get("label")
    several = [label] if isinstance(label, str) or label is None else list(label)
    labels = tuple(table.column("label", each) for each in several)
    found = Columns(
        table.column("image", named.get("image")),
        labels,
        table.column("part", named.get("part")),
        table.column("group", group, "data.group") if group else "",
    )
    for kind, name in (("image", found.image), ("label", found.label[0])):
        if not name:
            raise SettingError(
                f"{printable(table.path)} has the columns {', '.join(map(printable, table.header))}: name the one for"
                f" the {kind} with data.columns.{kind}=NAME"
            )
    return found


def labels_of(table: Table, columns: Columns, separator: str | None) -> tuple[tuple[str, ...], list[Label | None]]:
    """The classes (sorted, or in the order of their columns) and the label of each row; None if it has none."""
    if len(columns.label) > 1:
        found = several_labels(map(table.values, columns.label), columns.label)
        return columns.label, [label or None for label in found]
    cells = table.values(columns.label[0])
    if separator:
        sets = [{part.strip() for part in cell.split(separator)} - {""} for cell in cells]
        names = tuple(sorted(set().union(*sets)))
        return names, [tuple(int(name in each) for name in names) if each else None for each in sets]
    names = tuple(sorted(set(cells) - {""}))
    numbers = {name: number for number, name in enumerate(names)}
    return names, [numbers.get(cell) for cell in cells]


def entries(
    table: Table, columns: Columns, labels: Sequence[Label | None], root: Path, skip: bool
) -> tuple[tuple[tuple[str, Labelled], ...], str]:
    """The part and the file of each row with a label and an image, and a note on the other rows."""
    parts = table.values(columns.part) if columns.part else [""] * len(labels)
    groups = table.values(columns.group) if columns.group else [""] * len(labels)
    roles = {name: role_of(name) if columns.part else "train" for name in set(parts)}
    if unknown := sorted(name for name, role in roles.items() if role is None):
        raise SettingError(
            f"column {columns.part} must say train, val or test of each image, not {printable(unknown[0])!r}"
        )
    rows = [row for row, label in enumerate(labels) if label is not None and roles[parts[row]] != "predict"]
    names = table.values(columns.image)
    paths = image_paths(root, [names[row] for row in rows], skip)
    found: dict[Path, tuple[str, Labelled]] = {}
    for row, path in zip(rows, paths, strict=True):
        label = labels[row]
        if path is None or label is None:
            continue
        group = (groups[row] or str(path)) if columns.group else ""
        entry = (str(roles[parts[row]]), Labelled(path, label, False, group))
        if found.setdefault(path, entry) != entry:
            raise SettingError(
                f"{printable(table.path)} has {printable(names[row])} twice, with different cells: give each image one"
                " row; write several classes in one cell with data.label_separator, or in several columns"
            )
    without, lost = len(labels) - len(rows), sum(path is None for path in paths)
    said = [
        f"{without:,} rows without a label are for predict.py" * bool(without),
        f"{lost:,} images do not exist" * bool(lost),
    ]
    return tuple(found.values()), "; ".join(filter(None, said))


def check_groups(found: Sequence[tuple[str, Labelled]]) -> None:
    """Refuse a group with images in two parts of the table."""
    parts: dict[str, str] = {}
    for role, file in found:
        if file.group and parts.setdefault(file.group, role) != role:
            raise SettingError(
                f"group {printable(file.group)} is in {parts[file.group]} and in {role}: a group must be in one part"
            )
