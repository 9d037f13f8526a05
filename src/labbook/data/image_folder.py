"""Your own photographs, with a folder for each class."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from labbook.config.path_rules import expand_user
from labbook.data.class_folders import (
    Seen,
    check_class_folders,
    check_several,
    class_folder,
    class_names_of_parts,
    hidden_folders,
    is_sidecar,
    loose_images,
    subfolders,
    unused_folders,
    walk_files,
)
from labbook.data.datamodule import Part
from labbook.data.duplicates import image_count
from labbook.data.image_cache import Labelled
from labbook.data.layouts import Layout, Search, contents, role_of
from labbook.data.photographs import Fraction, Listing, PhotographData
from labbook.data.split import TEST_FRACTION
from labbook.errors import SettingError, list_first, printable


class ImageFolder(PhotographData):
    """Images in folders that are named after their classes; classes are sorted by name, their images by path.

    The parts are `train_folder` and `test_folder` of `root`, or folders with names of the same meaning. A folder for
    validation is the validation split, or the test set if there is no other. Without a test set, `test_fraction` of
    each class is drawn. `label_pattern` is a regular expression with one group for the class in the file name, for
    images that are directly in the parts.
    """

    usual_folders: ClassVar[tuple[str, str]] = ("train", "test")

    def __init__(
        self,
        *,
        root: str | None = None,
        train_folder: str = "train",
        test_folder: str = "test",
        label_pattern: str | None = None,
        test_fraction: Fraction | None = None,
        only: Part | None = None,
        **options: Any,
    ) -> None:
        if not root:
            raise SettingError("data.root is not set: give the folder of your images, data.root=FOLDER")
        folder = Path(expand_user("data.root", root))
        self.pattern = compiled(label_pattern) if label_pattern else None
        named = (train_folder, test_folder)
        try:
            search = Search(named, self.usual_folders, self.pattern is not None, test_fraction is not None, only)
            self.layout = self._labelled(search.layout(folder))
        except SettingError as error:
            raise SettingError(f"{error}{self.hint}") from error
        if self.layout.test is None and only is None:
            self._refuse_part(folder, test_fraction)
        elif self.layout.test is None and only == "test" and test_fraction is None:
            self.layout = self._root_as_test(self.layout)
        test_fraction = self.choose_test_fraction(self.layout.test is not None, test_fraction, only)
        self.class_names = self._class_names(only)
        if self.layout.validation and only != "test":
            unknown = sorted(set(self._names_in(self.layout.validation)) - set(self.class_names))
            if unknown:
                raise SettingError(
                    f"{self.layout.validation} has classes without training images: {', '.join(unknown)}"
                )
        super().__init__(root=root, test_fraction=test_fraction, only=only, **options)

    hint: ClassVar[str] = ""  # added to the message if the data set is missing

    # Classes ---------------------------------------------------------------------------------------------------------

    def _labelled(self, layout: Layout) -> Layout:
        """The layout; a test part whose file names have no class is unlabelled."""
        test = layout.test
        if self.pattern is None or test is None or self._names_in(test):
            return layout
        return replace(layout, test=None, unlabelled=(*layout.unlabelled, test))

    def _root_as_test(self, layout: Layout) -> Layout:
        """For an evaluation: one folder of classes is the test set."""
        if layout.train != layout.root:
            raise SettingError(f"{printable(layout.root)} has no test folder: {contents(layout.root)}")
        return replace(layout, train=None, test=layout.root)

    def _refuse_part(self, folder: Path, test_fraction: float | None) -> None:
        """Refuse a root that is the training part of a data set, unless `test_fraction` splits it."""
        above = folder.absolute().parent
        beside = [name for name in subfolders(above) if role_of(name) in ("val", "test")]
        if self.layout.train == folder and role_of(folder.absolute().name) == "train" and beside and not test_fraction:
            raise SettingError(
                f"{printable(folder)} lies beside {beside[0]}: data.root={printable(folder.parent)} takes both, and"
                f" data.test_fraction={TEST_FRACTION} divides this folder alone"
            )

    def _class_names(self, only: Part | None) -> tuple[str, ...]:
        train, test = self.layout.train, self.layout.test
        part = test if only == "test" and test else train
        assert part is not None
        if only is None and test and train:
            return class_names_of_parts(train, test, self._names_in)
        names = self._names_in(part)
        if self.pattern and not names:
            raise SettingError(f"data.label_pattern={self.pattern.pattern} matches no file name in {printable(part)}")
        check_class_folders(part, names)
        if only is None:
            check_several(part, names)
        return tuple(names)

    def _names_in(self, part: Path) -> list[str]:
        if self.pattern is None:
            return subfolders(part)
        return sorted(set(labels_by_name(part, self.pattern, {}).values()))

    # Files -----------------------------------------------------------------------------------------------------------

    def listing(self) -> Listing:
        seen: Seen = {}
        layout, only = self.layout, self.only
        train_remarks: list[str] = []
        test_remarks: list[str] = []
        train: list[Labelled] = []
        test: list[Labelled] = []
        if layout.train and (only != "test" or self.draws_test):
            train, train_remarks = self._part(layout.train, seen)
            if layout.validation and self.validation == "split":
                held_out = self._of_classes(layout.validation, seen, validation=True)
                train += [file for file in held_out if not is_sidecar(file.path)]
        if layout.test and only != "train":
            test, test_remarks = self._part(layout.test, seen)
        if self.draws_test:
            train, test = self.draw_test(train)
            train, test = ([] if only == "test" else train), ([] if only == "train" else test)
        about = (*self._about_validation(train), *self._repeated(), *self._unused())
        return Listing(train, test, (*train_remarks, *about), (*test_remarks,))

    def _part(self, folder: Path, seen: Seen) -> tuple[list[Labelled], list[str]]:
        """The files of a part, and notes on files that are left out."""
        found = self._of_classes(folder, seen)
        files = [file for file in found if not is_sidecar(file.path)]
        labels = {file.label for file in files}
        if not labels:
            raise SettingError(f"{folder} has no image in its class folders")
        empty = [name for label, name in enumerate(self.class_names) if label not in labels]
        if empty and self.only is None:
            raise SettingError(f"{folder / empty[0]} has no image: every class needs at least one")
        return files, self._left_out(folder, [file.path for file in found if is_sidecar(file.path)])

    def _of_classes(self, folder: Path, seen: Seen, validation: bool = False) -> list[Labelled]:
        if self.pattern is not None:
            labels = labels_by_name(folder, self.pattern, seen)
            numbers = {name: label for label, name in enumerate(self.class_names)}
            return sorted(
                (Labelled(path, numbers[label], validation) for path, label in labels.items()),
                key=lambda file: (file.label, file.path),
            )
        found = []
        for label, name in enumerate(self.class_names):
            inside = class_folder(folder, name)
            paths = sorted(walk_files(inside, seen)) if inside.is_dir() or not validation else []
            found += [Labelled(path, label, validation) for path in paths]
        return found

    def where(self, part: Part, name: str = "") -> str:
        folder = (self.layout.test if part == "test" else None) or self.layout.train or self.layout.root
        return str(folder / name)

    # Notes -----------------------------------------------------------------------------------------------------------

    @property
    def notes(self) -> list[str]:
        if self.only is not None:
            return super().notes
        fraction = self.val_fraction if self.validation == "split" and not self.folds else 0
        described = self.layout.describe(Path(self.root), fraction, self.test_fraction)
        ignored = self.test_fraction is not None and not self.draws_test
        unused = [f"data.test_fraction has no effect, as {self.layout.test} is the test set"] if ignored else []
        return [described, *unused, *super().notes]

    def _left_out(self, folder: Path, sidecars: Sequence[Path]) -> list[str]:
        if self.layout.train is None and folder == self.layout.root:
            return [f"{printable(folder)} has no folder of test images, so its own folders are used as classes"]
        found = []
        if not self.pattern:
            if loose := sorted(map(str, loose_images(folder))):
                where = "because they are in no class folder"
                found.append(f"{image_count(loose)} left out, {where}: {list_first(loose, 1)}")
            found += [f"{printable(each)} is hidden, so its images are not used" for each in hidden_folders(folder)]
        if sidecars:
            kinds = ", ".join(sorted({path.suffix.lower() for path in sidecars}))
            found.append(
                f"{len(sidecars):,} files next to the images are left out, because their names are not those of"
                f" images ({kinds})"
            )
        return found

    def _about_validation(self, train: Sequence[Labelled]) -> list[str]:
        folder = self.layout.validation
        if folder is None or self.only == "test":
            return []
        if self.validation != "split":
            return [f"{folder} is not used, because of data.validation={self.validation}"]
        count = sum(file.validation for file in train)
        return [f"validation on the {count:,} images in {folder}; data.val_fraction has no effect"]

    def _repeated(self) -> list[str]:
        """A note if all classes have the same folders, as camera_1/cat, camera_1/dog and camera_2/cat, camera_2/dog."""
        train = self.layout.train
        if train is None or self.pattern or self.only is not None:
            return []
        first, *others = (subfolders(class_folder(train, name)) for name in self.class_names)
        if len(first) < 2 or any(each != first for each in others):
            return []
        named = list_first(map(printable, first))
        return [f"each class folder holds {named}: if these are the classes, list the images in a table (data=table)"]

    def _unused(self) -> list[str]:
        layout = self.layout
        if self.only is not None:
            return []
        without = [f"{printable(folder)} has no classes: its images are for predict.py" for folder in layout.unlabelled]
        if layout.train in (None, layout.root) or self.pattern:
            return without
        used = (layout.train, layout.test, layout.validation, *layout.unlabelled)
        found = unused_folders(layout.root, self.class_names, used)
        return without + [f"{printable(each)} is not used; validation images must be in val/CLASS" for each in found]


def compiled(pattern: str) -> re.Pattern[str]:
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise SettingError(f"data.label_pattern={pattern} is not a regular expression: {error}") from error
    if found.groups != 1:
        raise SettingError(
            f"data.label_pattern={pattern} must have one group in brackets around the class, as in ^([a-z]+), not"
            f" {found.groups}"
        )
    return found


def labels_by_name(folder: Path, pattern: re.Pattern[str], seen: Seen) -> dict[Path, str]:
    """The class of each image below a folder by its file name; empty if no name has a class."""
    paths = [path for path in walk_files(folder, seen) if not is_sidecar(path)]
    found = {path: match[1] for path in paths if (match := pattern.search(path.name)) and match[1]}
    if found and (without := sorted(set(paths) - set(found))):
        raise SettingError(
            f"data.label_pattern={pattern.pattern} matches {len(found):,} of {len(paths):,} file names in"
            f" {printable(folder)}, and not {printable(without[0].name)}"
        )
    return found
