"""The sets that torchvision downloads, checks and reads, as whole uint8 tensors."""

from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar

import torch
from filelock import FileLock

from labbook.data.module import ImageDataModule, Images
from labbook.errors import SettingError


class TorchvisionDataModule(ImageDataModule):
    """A set that `torchvision.datasets` knows by the name `dataset`, kept below `root` in `folder`."""

    dataset: ClassVar[str]
    folder: ClassVar[str]
    by_hand: ClassVar[str]  # how to get the set without this program

    def read(self) -> tuple[Images, Images]:
        """Both parts, downloaded first where they are missing; one process downloads, others wait for it."""
        with suppress(RuntimeError, SettingError):  # not there, or another process is just unpacking it
            return self._part(train=True), self._part(train=False)
        try:
            Path(self.root).mkdir(parents=True, exist_ok=True)
            with FileLock(Path(self.root) / f".{self.dataset}.lock"):
                return self._part(train=True, download=True), self._part(train=False, download=True)
        except (RuntimeError, OSError, HTTPException) as error:
            reason = " ".join(str(error).split())
            raise SettingError(
                f"{self.dataset} is not whole in {Path(self.root) / self.folder} and could not be downloaded"
                f" ({reason}); by hand: {self.by_hand}, or name another place with data.root=FOLDER"
            ) from error

    def _part(self, train: bool, download: bool = False) -> Images:
        from torchvision import datasets

        try:
            return self.images(getattr(datasets, self.dataset)(self.root, train=train, download=download))
        except RuntimeError as error:
            if "invalid for input" not in str(error):  # torch's words for fewer pixels than the file announces
                raise
            reason = str(error)
        except (ValueError, TypeError, LookupError, EOFError, AssertionError) as error:
            reason = str(error) or "not in its format"
        raise SettingError(
            f"a file of {self.dataset} in {Path(self.root) / self.folder} is damaged ({reason}): delete that folder and"
            " run again"
        )

    def images(self, part: Any) -> Images:
        """The arrays that torchvision's dataset object holds.

        Raises:
            ValueError: labels that cannot belong to the images.
        """
        pixels, labels = torch.as_tensor(part.data), torch.as_tensor(part.targets)
        if len(pixels) != len(labels):
            raise ValueError(f"{len(pixels)} images with {len(labels)} labels")
        if labels.max() >= len(self.class_names):
            raise ValueError(f"label {labels.max()} in a set of {len(self.class_names)} classes")
        pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
        return Images(pixels, labels)
