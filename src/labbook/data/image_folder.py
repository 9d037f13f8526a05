"""Any photographs of yours, a folder for each class."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import PositiveInt

from labbook.config.path_rules import expand_user, short_file_name
from labbook.data.class_folders import (
    Seen,
    check_validation,
    class_folder,
    class_names_in_part,
    class_names_of_parts,
    is_sidecar,
    part_or_root,
    unused_folders,
    validation_folder,
    walk_files,
)
from labbook.data.datamodule import ImageDataModule, Part
from labbook.data.decoding import Decoding, Range, Resize
from labbook.data.duplicates import Duplicates, find_duplicates, image_count, list_first_lines
from labbook.data.image_cache import Labelled, Photographs, cached_images
from labbook.data.image_formats import loose_images
from labbook.data.image_spec import ImageSpec
from labbook.data.images import Images, evenly_spaced_rows
from labbook.data.normalization import Normalize
from labbook.data.split import ValSplit
from labbook.errors import SettingError, printable

LAYOUT = "a folder for each class, as in {train}/cat/1.jpg and {test}/cat/2.jpg"
OnCorrupt = Literal["raise", "skip"]


class ImageFolder(ImageDataModule):
    """Images in `root/train_folder/CLASS/` and `root/test_folder/CLASS/`, in the formats of `formats.FORMATS`.

    The classes are the names of the folders in `train_folder`, sorted; the images of a class are sorted by path, so
    without shuffling all of the first class come first. `on_corrupt` says what becomes of files that cannot be read,
    and of those that are in two classes. Classes in a folder `val`, `valid` or `validation` beside the training folder
    are the validation part. `resize` makes images square. With a `decode_size` larger than `image_size`, images are
    stored in that size: `random_resized_crop` cuts out of it in training, and else the middle is seen. `range` says
    what is black and white in images of more than 8 bits: [BLACK, WHITE]; auto: from 0 to the largest number of 8, 10,
    12, 14 or 16 bits, the fewest that hold the image; None: of the file's bits.

    Raises:
        SettingError: a folder that is missing or empty, classes that differ between the two parts, or folders or
            images of which a label could be wrong.
    """

    native_channels = 3
    native_size = 64
    native_normalize: Normalize = "imagenet"

    def __init__(
        self,
        *,
        root: str | None = None,
        train_folder: str = "train",
        test_folder: str = "test",
        on_corrupt: OnCorrupt = "raise",
        val_split: ValSplit = "stratified",
        range: Range = None,  # noqa: A002 - the setting's name
        resize: Resize | None = None,
        decode_size: PositiveInt | None = None,
        cache_dir: str = "data/cache",
        only: Part | None = None,
        **options: Any,
    ) -> None:
        if root is None:
            raise SettingError("data.root is not set: give the folder of your images, data.root=FOLDER")
        folder = Path(expand_user("data.root", root))
        self.train_folder, self.test_folder = folder / train_folder, folder / test_folder
        self.on_corrupt, self.cache_dir = on_corrupt, Path(expand_user("data.cache_dir", cache_dir))
        if val_split == "last" and only is None:  # a run of before is tested as it was trained
            raise SettingError(
                "data.val_split=last holds out whole classes of a folder, as its images are in the order of classes:"
                " use stratified or random"
            )
        self.range = range if range is None or isinstance(range, str) else (float(range[0]), float(range[1]))
        if isinstance(self.range, tuple) and self.range[0] >= self.range[1]:
            raise SettingError(
                f"data.range={list(self.range)} must be of two numbers, black and white, the smaller first"
            )
        if only is None:
            self.class_names = class_names_of_parts(self.train_folder, self.test_folder, self.missing)
        elif only == "train":
            self.class_names = class_names_in_part(self.train_folder, self.missing)
        else:
            self.test_folder = part_or_root(folder, self.test_folder)
            self.class_names = class_names_in_part(self.test_folder, self.missing)
        self.validation_folder = validation_folder(self.train_folder, self.test_folder) if only != "test" else None
        if self.validation_folder:
            check_validation(self.validation_folder, self.class_names)
        super().__init__(root=root, val_split=val_split, only=only, **options)
        self.resize, self.stored_size = resize or "squash", decode_size or self.image_size
        if self.stored_size < self.image_size:
            raise SettingError(f"data.decode_size={decode_size} is less than data.image_size={self.image_size}")

    @classmethod
    def read_at(cls, spec: ImageSpec) -> tuple[int, int]:
        """Of any size, and made as the network sees them when they are decoded."""
        return spec.size, spec.channels

    def missing(self, folder: Path) -> str:
        """What to say where there is no such folder."""
        layout = LAYOUT.format(train=self.train_folder.name, test=self.test_folder.name)
        what = "is not a folder with class folders" if folder.exists() else "is not there"
        return f"{folder} {what}: data.root must hold {layout}"

    def read(self) -> tuple[Images, Images]:
        """Both parts, from the cache or decoded into it; of the part that is not read no image.

        With a `limit`, so many images of each are decoded, evenly spread.
        """
        seen: Seen = {}
        found_files = [self._files(part, seen) for part in ("train", "test")]
        sidecars = [[file for file in part if is_sidecar(file.path)] for part in found_files]
        files = [self._chosen(part) for part in found_files]
        train, test = self._decoded(files)
        self._refuse_unreadable([*train.images.skipped, *test.images.skipped], sum(map(len, files)))
        found = find_duplicates(train, test)
        if found.contradictions:
            self._refuse_contradictions(found.contradictions)
            doubtful = [self._of(found.doubtful, part) for part in (train, test)]
            files = [[file for file in part if file not in out] for part, out in zip(files, doubtful, strict=True)]
            train, test = (
                part._replace(images=part.images._replace(skipped=(*part.images.skipped, *self._named(out))))
                for part, out in zip(self._decoded(files), doubtful, strict=True)
            )
            found = find_duplicates(train, test)
        if self.only is None and self.limit is None:
            self._refuse_empty_classes(train, test)
        held_out = [file.validation for file in train.files]
        validation = torch.tensor(held_out) if self._validation() and train.files else None
        remarks = (
            (
                *self._loose("train", sidecars[0]),
                *self._of_validation(validation),
                *self._unused(),
                *self._copied(found),
            ),
            (*self._loose("test", sidecars[1]), *self._leaked(found.leaks)),
        )
        train_images, test_images = (
            part.images._replace(
                remarks=(*some, *self._remarked(part.remarks)),
                files=self._below_root(part),
                content=part.content,
            )
            for part, some in zip((train, test), remarks, strict=True)
        )
        return train_images._replace(validation=validation), test_images

    def _validation(self) -> Path | None:
        """The folder of the validation part, if it is used."""
        return self.validation_folder if self.validation == "split" else None

    def _files(self, part: Part, seen: Seen) -> list[Labelled]:
        """The files of a part, also those beside images; none of one that is not read."""
        if self.only not in (None, part):
            return []
        folder = self._folder(part)
        found = self._of_classes(folder, seen)
        labels = {file.label for file in found if not is_sidecar(file.path)}
        if not labels:
            raise SettingError(f"{folder} has no image in its class folders")
        empty = [name for label, name in enumerate(self.class_names) if label not in labels]
        if empty and self.only is None:
            raise SettingError(f"{folder / empty[0]} has no image: every class needs at least one")
        if part == "train" and (validation := self._validation()):
            found += self._of_classes(validation, seen, validation=True)
        return found

    def _of_classes(self, folder: Path, seen: Seen, validation: bool = False) -> list[Labelled]:
        """All files in the folders of the classes, class after class."""
        found = []
        for label, name in enumerate(self.class_names):
            inside = class_folder(folder, name)
            paths = sorted(walk_files(inside, seen)) if inside.is_dir() or not validation else []
            found += [Labelled(path, label, validation) for path in paths]
        return found

    def _chosen(self, files: Sequence[Labelled]) -> list[Labelled]:
        """Those to decode."""
        images = [file for file in files if not is_sidecar(file.path)]
        if self.limit is None or self.limit >= len(images):
            return images
        return [images[row] for row in evenly_spaced_rows(self.limit, len(images)).tolist()]

    def _folder(self, part: Part) -> Path:
        return self.train_folder if part == "train" else self.test_folder

    def _below_root(self, part: Photographs) -> tuple[str, ...]:
        """The path of each image below `data.root`, with forward slashes; whole where it lies elsewhere."""
        paths = (file.path for file in part.files)
        root = Path(self.root)
        return tuple((path.relative_to(root) if path.is_relative_to(root) else path).as_posix() for path in paths)

    def _decoded(self, files: Sequence[Sequence[Labelled]]) -> tuple[Photographs, Photographs]:
        """Both parts: the training images as they are stored, and the middle of the test images."""
        how = Decoding(self.stored_size, self.channels, self.range, self.resize)
        middle = how if self.stored_size == self.image_size else how._replace(centre=self.image_size)
        train, test = (
            cached_images(part, how, self.cache_dir, f"images of {folder}") if part else Photographs.none(how)
            for part, how, folder in zip(files, (how, middle), (self.train_folder, self.test_folder), strict=True)
        )
        return train, test

    # What cannot be trusted ----------------------------------------------------------------------------------------

    def _refuse_unreadable(self, skipped: list[str], count: int) -> None:
        if skipped and self.on_corrupt == "raise":
            raise SettingError(
                f"{len(skipped):,} of {count:,} files cannot be read as images, the first is {skipped[0]}"
                f"{self._listed('unreadable', skipped, '; all are listed in ')}; data.on_corrupt=skip leaves them out"
            )

    def _refuse_contradictions(self, pairs: list[str]) -> None:
        if self.on_corrupt == "raise":
            raise SettingError(
                f"{image_count(pairs)} in two classes: {pairs[0]} are the same file"
                f"{self._listed('contradictions', pairs, '; all are listed in ')}: delete the wrong ones, or leave both"
                " of each out with data.on_corrupt=skip"
            )

    def _refuse_empty_classes(self, *parts: Photographs) -> None:
        for part, folder in zip(parts, (self.train_folder, self.test_folder), strict=True):
            counts = torch.bincount(part.images.labels, minlength=len(self.class_names))
            for name, count in zip(self.class_names, counts.tolist(), strict=True):
                if count == 0:
                    raise SettingError(f"{folder / name} has no image that can be used: every class needs at least one")

    def _of(self, digests: set[str], part: Photographs) -> list[Labelled]:
        return [file for file, digest in zip(part.files, part.digests, strict=True) if digest in digests]

    def _named(self, doubtful: list[Labelled]) -> list[str]:
        return [f"{printable(file.path)}, which is in two classes" for file in doubtful]

    # What should be known ------------------------------------------------------------------------------------------

    def _loose(self, part: Part, sidecars: Sequence[Labelled]) -> list[str]:
        if self.only not in (None, part):
            return []
        folder = self._folder(part)
        if folder == Path(self.root):
            return [f"{printable(folder)} has no folder of test images, so its own folders are used as classes"]
        loose = list(map(printable, loose_images(folder)))
        found = (
            [f"{image_count(loose)} left out, because they are in no class folder: {list_first_lines(loose)}"]
            if loose
            else []
        )
        if sidecars:
            kinds = ", ".join(sorted({file.path.suffix.lower() for file in sidecars}))
            found.append(
                f"{len(sidecars):,} files next to the images are left out, because their names are not those of"
                f" images ({kinds})"
            )
        return found

    def _of_validation(self, validation: torch.Tensor | None) -> list[str]:
        folder = self.validation_folder
        if folder is None:
            return []
        if validation is None:
            return [f"{folder} is not used, because of data.validation={self.validation}"]
        return [f"validation on the {int(validation.sum()):,} images in {folder}; data.val_fraction has no effect"]

    def _unused(self) -> list[str]:
        """Other folders of classes beside the training folder; not of parts that were named for themselves."""
        if self.only is not None or self.train_folder.parent != self.test_folder.parent:
            return []
        used = (self.train_folder, self.test_folder, self.validation_folder)
        found = unused_folders(self.train_folder.parent, self.class_names, used)
        return [f"{printable(each)} is not used; validation images must be in val/CLASS" for each in found]

    def _remarked(self, remarks: Mapping[str, Sequence[Path]]) -> list[str]:
        found = []
        for remark, paths in remarks.items():
            have = "image has" if len(paths) == 1 else "images have"
            found.append(f"{len(paths):,} {have} {remark}: {list_first_lines(map(printable, paths))}")
        return found

    def _copied(self, found: Duplicates) -> list[str]:
        both = found.seen_in_training
        shared = (
            [
                f"{image_count(both)} in validation and in training, so validation metrics are too good:"
                f" {list_first_lines(both)}"
            ]
            if both
            else []
        )
        if not found.copies:
            return shared
        where = self._listed("copies", found.copies)
        return [*shared, f"{image_count(found.copies)} the same file as another of their class and part{where}"]

    def _leaked(self, pairs: list[str]) -> list[str]:
        if not pairs:
            return []
        where = self._listed("leaks", pairs)
        return [
            f"{image_count(pairs)} also in training, so test metrics are too good: {list_first_lines(pairs)}{where}"
        ]

    def _listed(self, kind: str, lines: Sequence[str], words: str = ", listed in ") -> str:
        """Where all lines are listed, a file beside the cache, after some words; nothing if it cannot be written."""
        path = self.cache_dir / f"{short_file_name(self.train_folder.parent.name) or 'images'}.{kind}.txt"
        text = "".join(f"{line}\n" for line in lines)
        with suppress(OSError):
            if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != text:
                path.write_text(text, encoding="utf-8")
            return f"{words}{path}"
        return ""
