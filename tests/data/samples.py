"""Data made up for the tests: image modules, photographs, and small files in the real sets' formats."""

import hashlib
import multiprocessing
import os
import pickle
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image
from torch import Tensor

from labbook.data import datamodule
from labbook.data.datamodule import ImageDataModule, Images
from labbook.data.image_folder import ImageFolder
from labbook.data.loader import Batch

few = settings(max_examples=30)  # of what takes some milliseconds each

REAL = Path(os.environ.get("LABBOOK_DATA", "nowhere"))


def needs(part: str) -> pytest.MarkDecorator:
    """Skips a test where the real files `part` of LABBOOK_DATA are not there."""
    return pytest.mark.skipif(not (REAL / part).exists(), reason=f"LABBOOK_DATA names no folder with {part}")


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Random bytes."""
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def images(count: int, channels: int = 3, size: int = 6, classes: int = 3, seed: int = 0) -> Images:
    """`count` images of noise; the classes take turns."""
    return Images(noise(count, channels, size, size, seed=seed), torch.arange(count) % classes)


class Made(ImageDataModule):
    """50 images of noise to train and 20 to test, of 6 x 6 pixels in colour; counts how often they are read."""

    class_names = ("ape", "bee", "cat")
    native_size = 6
    mean = (0.1, 0.2, 0.3)
    std = (0.4, 0.5, 0.6)
    train, test = images(50, seed=1), images(20, seed=2)
    reads = 0

    def read(self) -> tuple[Images, Images]:
        type(self).reads += 1
        return self.train, self.test


def made(train: Images | None = None, test: Images | None = None, **options: Any) -> Made:
    """A fresh kind of `Made`, which shares no count with others, set up."""
    given = {"train": train or Made.train, "test": test or Made.test}
    kind = type("Made", (Made,), {**given, "reads": 0, "native_channels": given["train"].pixels.shape[1]})
    module: Made = kind(**options)
    module.setup()
    return module


def loaders(module: ImageDataModule) -> list[Any]:
    """Those of training, validation and test."""
    return [module.train_dataloader(), module.val_dataloader(), module.test_dataloader()]


def prepared(module: ImageDataModule, batch: Batch) -> Tensor:
    """The images as a model gets them."""
    return module.on_after_batch_transfer(batch, 0).images


def first(loader: Any) -> Batch:
    """The first batch."""
    return next(iter(loader))


def photograph(path: Path, colour: Any = (200, 100, 50), size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
    """An image file of one colour, in the format that its name asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


def in_three_processes(work: Callable[[], object]) -> list[object]:
    """What `work` returns in each of three forked processes that begin it at the same time."""
    fork = multiprocessing.get_context("fork")
    together, results = fork.Barrier(3), fork.SimpleQueue()

    def one() -> None:
        together.wait(10)
        results.put(work())

    processes = [fork.Process(target=one) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    return [results.get() for _ in processes]


def album(root: Path, parts: Mapping[str, int], classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    """A tree of PNG files, `parts` many in each class of a folder; each image has its own colour."""
    shade = 0
    for part, count in parts.items():
        for name in classes:
            for index in range(count):
                shade += 1
                photograph(root / part / name / f"{index}.png", (shade, 2 * shade, 255 - shade))
    return root


def truncate(path: Path, keep: float) -> None:
    """Cut a file short, to the part `keep` of its length."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def idx(values: Tensor) -> bytes:
    """Bytes in the format of MNIST's files: magic number, big-endian shape, unsigned bytes."""
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return header + values.byte().numpy().tobytes()


def write_mnist(raw: Path, train: Images, test: Images) -> None:
    """The four files of MNIST, unpacked."""
    raw.mkdir(parents=True)
    for part, images in {"train": train, "t10k": test}.items():
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(images.pixels.squeeze(1)))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(images.labels))


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 wrote in 2009: byte strings, and arrays of numpy 1."""

    dispatch: ClassVar[dict[type, Callable[..., None]]] = dict(pickle._Pickler.dispatch)

    def save_string(self, value: str | bytes) -> None:
        data = value if isinstance(value, bytes) else value.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            state = (1, value.shape, value.dtype, False, value.tobytes())
            return np._core.multiarray._reconstruct, (np.ndarray, (0,), "b"), state
        if isinstance(value, np.dtype):
            return np.dtype, ("u1", 0, 1), (3, "|", None, None, None, -1, -1, 0)
        return NotImplemented


def python2_pickle(path: Path, value: Any) -> None:
    """A pickle file as Python 2 and numpy 1 wrote them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Python2Pickler(file, 2).dump(value)
    path.write_bytes(path.read_bytes().replace(b"cnumpy._core.", b"cnumpy.core."))


def write_cifar(official: Any, root: Path, train: Images, test: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of CIFAR-10 or CIFAR-100, whose real checksums torchvision is made to forget."""
    labels = "labels" if official.__name__ == "CIFAR10" else "fine_labels"
    folder = root / official.base_folder
    for which, part in {"train_list": train, "test_list": test}.items():
        names = [name for name, _ in getattr(official, which)]
        pieces = zip(part.pixels.chunk(len(names)), part.labels.chunk(len(names)), strict=True)
        checksums = []
        for name, (pixels, targets) in zip(names, pieces, strict=True):
            python2_pickle(folder / name, {"data": pixels.flatten(1).numpy(), labels: targets.tolist()})
            checksums.append([name, md5(folder / name)])
        monkeypatch.setattr(official, which, checksums)
    meta = official.meta
    python2_pickle(folder / meta["filename"], {meta["key"]: [f"class {n}" for n in range(10)]})
    monkeypatch.setattr(official, "meta", meta | {"md5": md5(folder / meta["filename"])})


def md5(path: Path) -> str:
    """The checksum that torchvision compares."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


DataSet = TypeVar("DataSet", bound=ImageDataModule)


def read_small(kind: type[DataSet], beside: Path, **options: Any) -> DataSet:
    """A data set of files, read again from them at 4 pixels, with its cache beside a path."""
    datamodule._recent.clear()
    data = kind(**{"image_size": 4, "normalize": "unit", "cache_dir": str(beside.parent / "cache"), **options})
    data.setup()
    return data


def read_folder(root: Path, **options: Any) -> ImageFolder:
    return read_small(ImageFolder, root, root=str(root), **options)


def files_in(data: Any, split: Any) -> set[str]:
    """The names of the files of a split."""
    return {data.parts[data.part_of(split)].files[row] for row in data.rows[split].tolist()}
