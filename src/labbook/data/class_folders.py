"""Folders of classes: their names, their files, and checks of layouts that would give wrong labels."""

import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from labbook.errors import SettingError, printable

# Names of parts: two of them among the classes mean that the folder contains parts and not classes.
VALIDATION = ("val", "valid", "validation", "val_set", "valid_set", "validation_set")
PARTS = {"train", "training", "training_set", "test", "testing", "test_set", *VALIDATION}
# Names that systems, cameras and network drives create, besides names that begin with a dot.
JUNK = {
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "zbthumbnail.info", "icon\r",
    "_ds_store", "__macosx", "@eadir", "@synoresource", "@synoeastream", "#recycle", "@recycle", "#snapshot",
    "@recently-snapshot", "$recycle.bin", "system volume information", "lost+found",
}  # fmt: skip
# Files about an image: labels, annotations, settings of a camera.
SIDECARS = {
    ".xml", ".json", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".xmp", ".aae", ".md", ".html", ".log", ".url",
}  # fmt: skip
# Hidden folders that programs create.
OF_PROGRAMS = {".ipynb_checkpoints", ".thumbnails", ".cache", ".git", ".trash", ".trashes", ".appledouble"}
Seen = dict[tuple[int, int], Path]  # by device and inode: the folders that were walked


def class_names_of_parts(train: Path, test: Path, names_in: Callable[[Path], list[str]]) -> tuple[str, ...]:
    """The sorted classes, which must be the same in both parts. `names_in` finds those of a part."""
    check_disjoint_parts(train, test)
    names = [names_in(folder) for folder in (train, test)]
    for folder, inside in zip((train, test), names, strict=True):
        check_class_folders(folder, inside)
    if names[0] != names[1]:
        only = [sorted(set(names[0]) - set(names[1])), sorted(set(names[1]) - set(names[0]))]
        parts = "; ".join(
            f"only in {folder}: {', '.join(extra)}" for folder, extra in zip((train, test), only, strict=True) if extra
        )
        hint = (
            ""
            if {comparable_name(name) for name in only[0]}.isdisjoint(map(comparable_name, only[1]))
            else ": some differ only in case"
        )
        raise SettingError(f"training and test folders have different classes ({parts}){hint}")
    check_several(train, names[0])
    return tuple(names[0])


def check_several(folder: Path, names: Sequence[str]) -> None:
    if len(names) == 1:
        inside = subfolders(folder / names[0])
        hint = f", in which {', '.join(inside[:3])} lie" if inside else ""
        raise SettingError(
            f"{folder} has only one class, {names[0]}{hint}: use the folder that contains the class folders"
        )


def check_disjoint_parts(train: Path, test: Path) -> None:
    real = train.resolve(), test.resolve()
    if real[0] == real[1] or real[0] in real[1].parents or real[1] in real[0].parents:
        how = "are one folder" if real[0] == real[1] else "lie one in the other"
        raise SettingError(
            f"{train} and {test} {how}: data.train_folder and data.test_folder must share no images, or the test is"
            " meaningless"
        )


def check_class_folders(folder: Path, names: Sequence[str]) -> None:
    if not names:
        what = "is not a folder with class folders" if folder.exists() else "does not exist"
        raise SettingError(f"{folder} {what}: it must hold a folder for each class, as in {folder.name}/cat/1.jpg")
    parts = [name for name in names if name.lower() in PARTS]
    if len(parts) > 1:
        raise SettingError(
            f"{folder} holds {' and '.join(parts)}, which are splits and not classes: use data.root={folder},"
            " data.train_folder and data.test_folder to them"
        )
    first: dict[str, str] = {}
    for name in names:
        if not name.isprintable():
            raise SettingError(
                f"{printable(folder / name)} is the folder of a class, and its name cannot be shown: rename it"
            )
        if comparable_name(name) in first:
            raise SettingError(
                f"{folder} holds {first[comparable_name(name)]} and {name}, one class under two spellings: make them"
                " one folder"
            )
        first[comparable_name(name)] = name


def comparable_name(name: str) -> str:
    """Equal for names that look the same."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def subfolders(folder: Path) -> list[str]:
    """The sorted names of the folders in `folder` in NFC; macOS stores é as e and an accent (NFD)."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as items:
        return sorted(to_nfc(item.name) for item in items if not is_hidden_name(item.name) and item.is_dir())


def class_folder(part: Path, name: str) -> Path:
    """The folder of a class in a part, with any Unicode normalization."""
    folder = part / name
    if folder.is_dir():
        return folder
    return next((item for item in part.iterdir() if item.is_dir() and to_nfc(item.name) == name), folder)


def to_nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def walk_files(folder: Path, seen: Seen) -> Iterator[Path]:
    """Every file below a folder, also through links; SettingError if a folder occurs twice (or links form a circle)."""
    for place, folders, names in os.walk(folder, onerror=refuse_unreadable_folder, followlinks=True):
        status = Path(place).stat()
        first = seen.setdefault((status.st_dev, status.st_ino), Path(place))
        if first != Path(place):
            raise SettingError(
                f"{printable(place)} and {printable(first)} are one folder, so its images would count twice"
            )
        folders[:] = [name for name in folders if not is_hidden_name(name)]
        yield from (Path(place, name) for name in names if not is_hidden_name(name))


def refuse_unreadable_folder(error: OSError) -> None:
    raise error  # os.walk would leave its images out


def is_hidden_name(name: str) -> bool:
    return name.startswith(".") or name.lower() in JUNK


def is_sidecar(path: Path) -> bool:
    return path.suffix.lower() in SIDECARS


def unused_folders(root: Path, names: Sequence[str], used: Sequence[Path | None]) -> list[Path]:
    """Folders in `root` that could be a part, by their name or by classes in them, but are not used."""
    parts = [root / name for name in subfolders(root)]
    meant = [part for part in parts if part.name.lower() in PARTS or any((part / name).is_dir() for name in names)]
    known = [part.resolve() for part in used if part]
    return [part for part in meant if not any(each.is_relative_to(part.resolve()) for each in known)]


def loose_images(folder: Path) -> Iterator[Path]:
    """The files directly in a folder that are images by their names."""
    known = Image.registered_extensions()
    for item in folder.iterdir() if folder.is_dir() else ():
        if item.suffix.lower() in known and not is_hidden_name(item.name) and not item.is_dir():
            yield item


def images_in(folder: Path) -> bool:
    return next(loose_images(folder), None) is not None


def hidden_folders(folder: Path) -> list[Path]:
    """Folders of images whose names begin with a dot, except those that programs create."""
    inside = sorted(item for item in folder.iterdir() if item.name.startswith(".") and item.is_dir())
    return [item for item in inside if item.name.lower() not in OF_PROGRAMS and images_in(item)]
