"""The sets that torchvision downloads, checks and reads, as whole uint8 tensors."""

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
        try:
            return self._part(train=True), self._part(train=False)
        except RuntimeError:  # torchvision: not found, or not with the right checksum
            pass
        Path(self.root).mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(Path(self.root) / f".{self.dataset}.lock"):
                return self._part(train=True, download=True), self._part(train=False, download=True)
        except (RuntimeError, OSError) as error:
            raise SettingError(
                f"{self.dataset} is not whole in {Path(self.root) / self.folder} and could not be downloaded"
                f" ({' '.join(str(error).split())}); by hand: {self.by_hand}, or name another place with data.root=FOLDER"
            ) from error

    def _part(self, train: bool, download: bool = False) -> Images:
        from torchvision import datasets

        try:
            part: Any = getattr(datasets, self.dataset)(self.root, train=train, download=download)
        except (ValueError, EOFError, IndexError, AssertionError) as error:
            raise SettingError(
                f"a file of {self.dataset} in {Path(self.root) / self.folder} is damaged ({error}): delete that folder and"
                " run again"
            ) from error
        return self.images(part)

    def images(self, part: Any) -> Images:
        """The arrays that torchvision's dataset object holds."""
        pixels = torch.as_tensor(part.data)
        pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
        return Images(pixels, torch.as_tensor(part.targets))
