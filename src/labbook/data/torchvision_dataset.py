"""Data sets that torchvision reads as one uint8 tensor; Labbook downloads, checks and unpacks them."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import torch

from labbook.data.archives import DAMAGED, ArchiveError, Published, install_archive, is_complete_gzip
from labbook.data.datamodule import ImageDataModule, Images
from labbook.data.download import DownloadError, download_file
from labbook.errors import SettingError, list_first, printable
from labbook.files import blocking_lock


class UnreadableError(Exception):
    """The reason why a data set cannot be read; `damaged` if its files exist."""

    def __init__(self, reason: str, damaged: bool = True) -> None:
        super().__init__(reason)
        self.damaged = damaged


class TorchvisionDataModule(ImageDataModule):
    """The data set torchvision.datasets.DATASET, stored below `root` in `folder`."""

    dataset: ClassVar[str]
    folder: ClassVar[str]
    packed: ClassVar[str]  # the folder of the archives, below root
    archives: ClassVar[tuple[Published, ...]]
    mirrors: ClassVar[tuple[str, ...]]  # URLs without the name of the archive, the fastest first
    contents: ClassVar[Mapping[str, Published]] = {}  # by archive: the file in it, if torchvision does not check it
    lookalikes: ClassVar[tuple[str, ...]]  # patterns of files of other layouts, below root
    by_hand: ClassVar[str]  # how to get the data set by hand
    replaced: tuple[Path, ...] = ()  # new names of damaged files

    def read(self) -> tuple[Images, Images]:
        """Both parts; missing and damaged files are downloaded first, by one process at a time."""
        with suppress(UnreadableError):
            return self._both()
        where, reason = Path(self.root) / self.folder, ""
        try:
            Path(self.root).mkdir(parents=True, exist_ok=True)
            with blocking_lock(Path(self.root) / f".{self.dataset}.lock"):
                try:  # another process may have downloaded it
                    return self._both()
                except UnreadableError as error:
                    if self.adopt_files():
                        with suppress(UnreadableError):
                            return self._both()
                    if self.is_of_its_own():  # never replaced by a download
                        raise SettingError(
                            f"{where} holds files of your own in the format of {self.dataset}, which cannot be read"
                            f" ({error}): repair them, or use another folder with data.root=FOLDER"
                        ) from error
                    reason = f"is damaged ({error})" if error.damaged else "is incomplete"
                self._obtain()
                return self._both()
        except (DownloadError, ArchiveError, UnreadableError, OSError) as error:
            raise SettingError(
                f"{self.dataset} {reason or 'is incomplete'} in {where} and could not be downloaded"
                f" ({' '.join(str(error).split())}); by hand: {self.by_hand}, or use another folder with"
                f" data.root=FOLDER{self._found_instead()}"
            ) from error

    def at_hand(self) -> bool:
        """Whether the data set exists and is complete; reads it."""
        try:
            return bool(self._both())
        except (UnreadableError, OSError):
            return False

    def adopt_files(self) -> bool:
        """Copy files of another layout to the expected one; whether any were found."""
        return False

    def _found_instead(self) -> str:
        """The end of a message: files that look like the data set but are not used."""
        root, archives = Path(self.root), {file.name for file in self.archives}
        read = [Path(self.root) / self.folder / file.name for file in self.contents.values()]
        found = []
        for path in sorted({path for pattern in self.lookalikes for path in root.glob(pattern)}):
            if path.name in archives:
                found += [] if is_complete_gzip(path) else [f"{printable(path)} (damaged)"]
            elif path not in read and path != root / self.folder and path.suffix not in (DAMAGED, ".lock"):
                found.append(printable(path))
        return f"; found, but not used: {list_first(found)}" if found else ""

    def is_of_its_own(self) -> bool:
        """Whether the files are another data set in the same format."""
        return False

    def content(self, train: bool) -> str:
        """`Images.content` of a part; the published data set never changes."""
        return type(self).__name__

    def _both(self) -> tuple[Images, Images]:
        train, test = (self._part(train=train)._replace(content=self.content(train)) for train in (True, False))
        return train._replace(remarks=self._remarks()), test

    def _part(self, train: bool) -> Images:
        from torchvision import datasets

        try:
            return self.images(getattr(datasets, self.dataset)(self.root, train=train, download=False))
        except RuntimeError as error:
            # torch: fewer pixels than in the header; torchvision: missing files
            reason = str(error) if "download=True" not in str(error) else "a file is missing or has another checksum"
            raise UnreadableError(reason, damaged="invalid for input" in reason) from error
        except (ValueError, TypeError, LookupError, EOFError, AssertionError) as error:
            raise UnreadableError(str(error) or "not in its format") from error

    def _obtain(self) -> None:
        """Download (unless they exist) and unpack the archives of missing or damaged files."""
        folder = Path(self.root) / self.folder
        for archive in self.archives:
            content = self.contents.get(archive.name)
            if content and content.is_at(folder / content.name):
                continue
            place = Path(self.root) / self.packed / archive.name
            if not archive.is_at(place):
                if is_complete_gzip(place):  # never replaced by a download
                    raise SettingError(
                        f"{place} is not the published archive: unpack it there if it is your own, or delete it"
                    )
                place.parent.mkdir(parents=True, exist_ok=True)
                try:
                    download_file(archive, place, [mirror + archive.name for mirror in self.mirrors])
                except DownloadError as error:
                    raise DownloadError(f"{archive.name} from {error}") from error
            self.replaced += tuple(install_archive(place, folder))

    def _remarks(self) -> tuple[str, ...]:
        folder = Path(self.root) / self.folder
        remarks = []
        if self.replaced:
            kept = ", ".join(path.name for path in self.replaced)
            remarks.append(f"{self.dataset} was damaged and is downloaded again; the damaged files are kept: {kept}")
        if self.is_of_its_own():
            remarks.append(f"{folder} has your own data set in the format of {self.dataset}, not the published one")
        return tuple(remarks)

    def images(self, part: Any) -> Images:
        """The arrays of torchvision's object; ValueError if labels and images do not match."""
        pixels, labels = torch.as_tensor(part.data), torch.as_tensor(part.targets)
        if len(pixels) != len(labels):
            raise ValueError(f"{len(pixels)} images with {len(labels)} labels")
        if labels.max() >= len(self.class_names):
            raise ValueError(f"label {labels.max()} in a set of {len(self.class_names)} classes")
        pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
        return Images(pixels, labels)
