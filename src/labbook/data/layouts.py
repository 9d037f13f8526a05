"""Layouts of folders of photographs: which folder is for training, validation and test."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from labbook.data.class_folders import check_disjoint_parts, images_in, is_hidden_name, subfolders
from labbook.errors import SettingError, printable

Role = Literal["train", "val", "test", "predict"]
WORDS: dict[str, Role] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("pred", "predict", "prediction", "unlabelled", "unlabeled"), "predict"),
}
FILLERS = {"set", "data", "dataset", "images", "img", "imgs", "folder", "part", "split"}
DEPTH = 4  # nested folders above the parts
MOST = 8  # names in a message


@dataclass(frozen=True)
class Layout:
    """The folders of the parts; each contains a folder for each class, or the images."""

    root: Path  # the folder of the parts
    train: Path | None
    validation: Path | None = None
    test: Path | None = None
    unlabelled: tuple[Path, ...] = ()  # images without class

    def describe(self, root: Path, fraction: float, test_fraction: float | None) -> str:
        held_out = f"validation (data.val_fraction={fraction:g})" if fraction and not self.validation else ""
        drawn = f"test (data.test_fraction={test_fraction:g})" if not self.test else ""
        shared = ["training", *filter(None, (held_out, drawn))]
        first = f"{' and '.join([', '.join(shared[:-1]), shared[-1]] if len(shared) > 1 else shared)} images"
        parts = [(first, self.train), ("validation images", self.validation), ("test images", self.test)]
        names = [
            (what, folder.relative_to(root) if folder.is_relative_to(root) and folder != root else folder)
            for what, folder in parts
            if folder
        ]
        return "layout: " + ", ".join(f"{what} in {printable(name)}/" for what, name in names)


def role_of(name: str, loose: bool = False) -> Role | None:
    """The part that a folder of this name is for, as `Train`, `training_set` or `test-images`; None for other names.

    With `loose`, the name can have other words too, as seg_train.
    """
    words = [word for word in re.split(r"[^a-z]+", re.sub(r"([a-z])(?=[A-Z])", r"\1 ", name).lower()) if word]
    words = [re.sub(r"^(train|test|val|valid)(set|data)$", r"\1", word) for word in words]
    found = {WORDS[word] for word in words if word in WORDS}
    others = [word for word in words if word not in WORDS and word not in FILLERS]
    return found.pop() if len(found) == 1 and (loose or not others) else None


@dataclass(frozen=True)
class Search:
    """A search for the parts of a data set.

    `folders` are the given names for training and test, `usual` the default names, for which names of the same meaning
    are accepted. `flat`: the images are directly in the parts. `drawn`: a folder for validation is not the test set.
    `only` is the part that must exist, "test" or "train"; None: both.
    """

    folders: tuple[str, str]
    usual: tuple[str, str]
    flat: bool = False
    drawn: bool = False
    only: str | None = None

    def layout(self, root: Path) -> Layout:
        """The parts in `root`, or in a folder in it that contains the whole data set, as archive/train.

        Raises:
            SettingError: what is there instead, and the settings for it.
        """
        if not root.is_dir():
            raise SettingError(f"data.root={printable(root)} {missing(root)}")
        here = root
        for _ in range(DEPTH):
            inside = [here / name for name in subfolders(here)]
            if found := self.parts(here):
                return found
            whole = [folder for folder in inside if self.parts(folder)]
            if len(whole) > 1:
                names = " and ".join(printable(folder) for folder in whole[:2])
                raise SettingError(f"{names} are both data sets: choose one with data.root=FOLDER")
            if not whole and (found := self.classes(here)):
                return found
            if len(whole or inside) != 1:
                break
            here = (whole or inside)[0]
        if absent := self.absent(root):
            raise SettingError(f"{absent}: {contents(root)}")
        raise SettingError(f"{printable(root)}: {contents(root)}, which is no known layout; {way_out(here)}")

    def absent(self, root: Path) -> str:
        for part, folder, usual in zip(("train", "test"), self.folders, self.usual, strict=True):
            if folder != usual and not (root / folder).is_dir() and self.only in (None, part):
                return f"data.{part}_folder={printable(folder)} does not exist in {printable(root)}"
        return ""

    def parts(self, root: Path) -> Layout | None:
        if self.absent(root):
            return None
        found = self.by_role(root)
        unlabelled = [found.pop("predict")] if "predict" in found else []
        for role in ("test", "val"):
            if role in found and not self.flat and (folder := unlabelled_folder(found[role], found.get("train"))):
                del found[role]
                unlabelled += [folder] if role == "test" else []
        train, val, test = (found.get(role) for role in ("train", "val", "test"))
        if not train and not (test and self.only == "test"):
            return None
        if test is None and not self.drawn:
            val, test = None, val
        parts = [folder for folder in (train, test, val) if folder]
        for number, folder in enumerate(parts):
            for other in parts[number + 1 :]:
                check_disjoint_parts(folder, other)
        return Layout(root, train, val, test, tuple(unlabelled))

    def classes(self, root: Path) -> Layout | None:
        """The root as one folder of classes; None if it is not."""
        names = subfolders(root)
        if self.flat:
            albums = [root / name for name in names if images_in(root / name)]
            if images_in(root) or (len(albums) > 1 and not any(role_of(folder.name) for folder in albums)):
                return Layout(root, root)
            return Layout(root, albums[0]) if len(albums) == 1 else None
        roles = {name: role_of(name) for name in names}
        if len(names) < 2 or any(role and subfolders(root / name) for name, role in roles.items()):
            return None
        if "train" in roles.values() and {"val", "test"}.intersection(roles.values()):
            return None  # parts without class folders, as train/cat.1.jpg
        for name in names:
            if inside := [each for each in subfolders(root / name) if role_of(each) in ("val", "test")]:
                raise SettingError(
                    f"{printable(root / name)} holds {' and '.join(map(printable, inside))}: the parts must be above"
                    f" the classes, as in {printable(inside[0])}/{printable(name)}; or list the images in a table"
                    " (data=table)"
                )
        return Layout(root, root)

    def by_role(self, root: Path) -> dict[str, Path]:
        """The folder of each part in `root`: the given one, or the only one with a name of this meaning."""
        named = {
            part: root / folder
            for part, folder, usual in zip(("train", "test"), self.folders, self.usual, strict=True)
            if (root / folder).is_dir() and (folder != usual or part == "test" or self.has_classes(root / folder))
        }
        found = {part: inner(folder, self.flat) for part, folder in named.items()}
        others = [name for name in subfolders(root) if root / name not in named.values()]
        others = [name for name in others if subfolders(root / name) or images_in(root / name)]
        for loose in (False, True):
            if loose and ("train" in found or not all(role_of(name, loose) for name in others)):
                break  # names of classes, such as train_station
            meant: dict[str, list[str]] = {}
            for name in others:
                role = role_of(name, loose)
                if role and role not in found and (role != "train" or self.has_classes(root / name)):
                    meant.setdefault(role, []).append(name)
            for part, several in meant.items():
                if len(several) > 1:
                    which = "" if part == "val" else f", or choose one with data.{part}_folder=NAME"
                    raise SettingError(
                        f"{printable(root)} holds {' and '.join(several)}, which could each be the {part} part: rename"
                        f" one of them{which}"
                    )
                found[part] = inner(root / several[0], self.flat)
        return found

    def has_classes(self, folder: Path) -> bool:
        return self.flat or bool(subfolders(folder))


def missing(folder: Path) -> str:
    if folder.exists():
        return "is a file: give the folder of the images"
    return "does not exist" if folder.is_absolute() else f"does not exist in {printable(Path.cwd())}"


def inner(folder: Path, flat: bool) -> Path:
    """The folder with the classes or images: this one, or the only folder in it, as train/train."""
    deepest = folder
    for _ in range(DEPTH):
        inside = subfolders(deepest)
        if len(inside) != 1 or images_in(deepest):
            break
        below = deepest / inside[0]
        if not (len(subfolders(below)) > 1 or role_of(below.name, loose=True) or (flat and images_in(below))):
            break
        deepest = below
    return deepest


def unlabelled_folder(part: Path, train: Path | None) -> Path | None:
    """The folder of a part's images if they have no classes: the part, or the only folder in it, as test/images."""
    names = subfolders(part)
    if len(names) == 1 and names[0].lower() in {*FILLERS, "unknown"} and train and names[0] not in subfolders(train):
        part = part / names[0]
    return part if not subfolders(part) and images_in(part) else None


def contents(folder: Path) -> str:
    items = sorted(folder.iterdir()) if folder.is_dir() else []
    folders = [f"{printable(item.name)}/" for item in items if item.is_dir() and not is_hidden_name(item.name)]
    files = [printable(item.name) for item in items if item.is_file() and not is_hidden_name(item.name)]
    said = [
        f"{', '.join(each[:MOST])}{f' and {len(each) - MOST:,} more' if len(each) > MOST else ''}"
        for each in (folders, files)
        if each
    ]
    return f"it holds {' and '.join(said)}" if said else "it is empty"


def way_out(folder: Path) -> str:
    names = subfolders(folder)
    tables = sorted(item.name for item in folder.iterdir() if item.suffix.lower() in (".csv", ".tsv", ".parquet"))
    if tables:
        return (
            f"a table of labels is data=table data.labels={printable(folder / tables[0])} data.root={printable(folder)}"
        )
    if any(images_in(each) for each in (folder, *(folder / name for name in names if role_of(name)))):
        return (
            "give two or more class folders, as cat/1.jpg and dog/1.jpg; or if file names hold the class, as in"
            " cat.1.jpg, data.label_pattern='^([a-z]+)'"
        )
    if names:
        return "name the parts with data.train_folder=NAME data.test_folder=NAME, or give CLASS/* or train/CLASS/*"
    return "give a folder with train/CLASS/*, test/CLASS/*, or CLASS/*"
