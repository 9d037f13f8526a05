"""Any photographs of yours, a folder for each class."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from PIL import Image

from labbook.data.folders import Seen, class_folder, class_names, class_names_of, files_of, hidden, part_or_root
from labbook.data.image_cache import Labelled, Photographs, cached
from labbook.data.module import ImageDataModule, Images, Part
from labbook.data.normalization import Normalize
from labbook.data.spec import ImageSpec
from labbook.data.twins import many, twins
from labbook.errors import SettingError
from labbook.names import printable

LAYOUT = "a folder for each class, as in {train}/cat/1.jpg and {test}/cat/2.jpg"
OnCorrupt = Literal["raise", "skip"]


class ImageFolder(ImageDataModule):
    """Images in `root/train_folder/CLASS/` and `root/test_folder/CLASS/`, in the formats of `formats.FORMATS`.

    The classes are the names of the folders in `train_folder`, sorted; the images of a class are sorted by path, so
    without shuffling all of the first class come first. `on_corrupt` says what becomes of files that cannot be read,
    and of those that are in two classes.

    Raises:
        SettingError: a folder that is missing or empty, classes that differ between the two parts, or folders or
            images of which a label could be wrong.
    """

    native_channels = 3
    native_size = 64
    native_normalize: ClassVar[Normalize] = "imagenet"

    def __init__(
        self,
        *,
        root: str | None = None,
        train_folder: str = "train",
        test_folder: str = "test",
        on_corrupt: OnCorrupt = "raise",
        cache_dir: str = "data/cache",
        only: Part | None = None,
        **options: Any,
    ) -> None:
        if root is None:
            raise SettingError("data.root is not set: give the folder of your images, data.root=FOLDER")
        folder = Path(root).expanduser()
        self.train_folder, self.test_folder = folder / train_folder, folder / test_folder
        self.on_corrupt, self.cache_dir = on_corrupt, Path(cache_dir).expanduser()
        if only is None:
            self.class_names = class_names(self.train_folder, self.test_folder, self.missing)
        elif only == "train":
            self.class_names = class_names_of(self.train_folder, self.missing)
        else:
            self.test_folder = part_or_root(folder, self.test_folder)
            self.class_names = class_names_of(self.test_folder, self.missing)
        super().__init__(root=root, only=only, **options)

    @classmethod
    def read_at(cls, spec: ImageSpec) -> tuple[int, int]:
        """Of any size, and made as the network sees them when they are decoded."""
        return spec.size, spec.channels

    def source(self) -> tuple[Any, ...]:
        """Also what is decoded how."""
        return (*super().source(), self.train_folder, self.test_folder, self.on_corrupt, self.cache_dir)

    def missing(self, folder: Path) -> str:
        """What to say where there is no such folder."""
        layout = LAYOUT.format(train=self.train_folder.name, test=self.test_folder.name)
        what = "is no folder with classes in it" if folder.exists() else "is not there"
        return f"{folder} {what}: data.root must hold {layout}"

    def read(self) -> tuple[Images, Images]:
        """Both parts, from the cache or decoded into it; of the part that is not read no image."""
        seen: Seen = {}
        files = [self._files(part, seen) for part in ("train", "test")]
        train, test = self._decoded(files)
        self._refuse_unreadable([*train.images.skipped, *test.images.skipped], sum(map(len, files)))
        found = twins(train, test)
        if found.contradictions:
            self._refuse_contradictions(found.contradictions)
            doubtful = [self._of(found.doubtful, part) for part in (train, test)]
            files = [[file for file in part if file not in out] for part, out in zip(files, doubtful, strict=True)]
            train, test = (
                part._replace(images=part.images._replace(skipped=(*part.images.skipped, *self._named(out))))
                for part, out in zip(self._decoded(files), doubtful, strict=True)
            )
            found = twins(train, test)
        if self.only is None:
            self._refuse_empty_classes(train, test)
        remarks = self._copied(found.copies), self._leaked(found.leaks)
        return (
            train.images._replace(
                files=self._below_root(train), remarks=(*self._loose("train"), *remarks[0]), content=content_of(train)
            ),
            test.images._replace(
                files=self._below_root(test), remarks=(*self._loose("test"), *remarks[1]), content=content_of(test)
            ),
        )

    def _files(self, part: Part, seen: Seen) -> list[Labelled]:
        """The files of a part; none of one that is not read."""
        if self.only not in (None, part):
            return []
        folder = self._folder(part)
        found = []
        for label, name in enumerate(self.class_names):
            paths = sorted(files_of(class_folder(folder, name), seen))
            if not paths and self.only is None:
                raise SettingError(f"{folder / name} holds no image: every class needs at least one")
            found += [Labelled(path, label) for path in paths]
        if not found:
            raise SettingError(f"{folder} holds no image in the folders of its classes")
        return found

    def _folder(self, part: Part) -> Path:
        return self.train_folder if part == "train" else self.test_folder

    def _below_root(self, part: Photographs) -> tuple[str, ...]:
        """The path of each image below `data.root`, with forward slashes; whole where it lies elsewhere."""
        paths = (file.path for file in part.files)
        root = Path(self.root)
        return tuple((path.relative_to(root) if path.is_relative_to(root) else path).as_posix() for path in paths)

    def _decoded(self, files: Sequence[Sequence[Labelled]]) -> tuple[Photographs, Photographs]:
        train, test = (
            cached(part, self.image_size, self.channels, self.cache_dir, f"images of {folder}")
            if part
            else nothing(self.channels, self.image_size)
            for part, folder in zip(files, (self.train_folder, self.test_folder), strict=True)
        )
        return train, test

    # What cannot be trusted ----------------------------------------------------------------------------------------

    def _refuse_unreadable(self, skipped: list[str], count: int) -> None:
        if skipped and self.on_corrupt == "raise":
            raise SettingError(
                f"{len(skipped):,} of {count:,} files cannot be read as images, the first is {skipped[0]}; all are"
                f" listed in {self._listed('unreadable', skipped)}, and data.on_corrupt=skip leaves them out"
            )

    def _refuse_contradictions(self, pairs: list[str]) -> None:
        if self.on_corrupt == "raise":
            raise SettingError(
                f"{counted(pairs)} in two classes: {pairs[0]} are the same file; all are listed in"
                f" {self._listed('contradictions', pairs)}: delete the wrong ones, or leave both of each out with"
                " data.on_corrupt=skip"
            )

    def _refuse_empty_classes(self, *parts: Photographs) -> None:
        for part, folder in zip(parts, (self.train_folder, self.test_folder), strict=True):
            counts = torch.bincount(part.images.labels, minlength=len(self.class_names))
            for name, count in zip(self.class_names, counts.tolist(), strict=True):
                if count == 0:
                    raise SettingError(
                        f"{folder / name} holds no image that can be used: every class needs at least one"
                    )

    def _of(self, digests: set[str], part: Photographs) -> list[Labelled]:
        return [file for file, digest in zip(part.files, part.digests, strict=True) if digest in digests]

    def _named(self, doubtful: list[Labelled]) -> list[str]:
        return [f"{printable(file.path)}, which is in two classes" for file in doubtful]

    # What should be known ------------------------------------------------------------------------------------------

    def _loose(self, part: Part) -> list[str]:
        if self.only not in (None, part):
            return []
        folder = self._folder(part)
        if folder == Path(self.root):
            return [f"{printable(folder)} has no folder of test images, so its own folders are taken for the classes"]
        known = Image.registered_extensions()
        inside = [item for item in folder.iterdir() if item.suffix.lower() in known and not hidden(item.name)]
        loose = sorted(printable(item) for item in inside if not item.is_dir())
        return [f"{counted(loose)} left out, being in no class's folder: {many(loose)}"] if loose else []

    def _copied(self, pairs: list[str]) -> list[str]:
        if not pairs:
            return []
        where = self._listed("copies", pairs)
        return [f"{counted(pairs)} the same file as another of their class and part, listed in {where}"]

    def _leaked(self, pairs: list[str]) -> list[str]:
        if not pairs:
            return []
        where = self._listed("leaks", pairs)
        return [f"{counted(pairs)} in training too, so the test flatters: {many(pairs)}, listed in {where}"]

    def _listed(self, kind: str, lines: Sequence[str]) -> Path:
        """A file beside the cache with all of them."""
        path = self.cache_dir / f"{self.train_folder.parent.name or 'images'}.{kind}.txt"
        text = "".join(f"{line}\n" for line in lines)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        return path


def content_of(part: Photographs) -> str:
    """A hash of the files' bytes, in their order."""
    return hashlib.sha256("".join(part.digests).encode()).hexdigest()


def nothing(channels: int, size: int) -> Photographs:
    """A part without images."""
    images = Images(torch.empty(0, channels, size, size, dtype=torch.uint8), torch.empty(0, dtype=torch.int64))
    return Photographs(images, [], [])


def counted(images: Sequence[str]) -> str:
    """Such as `1 image is` or `1,200 images are`."""
    return "1 image is" if len(images) == 1 else f"{len(images):,} images are"
