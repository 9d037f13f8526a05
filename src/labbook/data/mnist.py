"""MNIST (LeCun, Cortes and Burges, 1998) and Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017)."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import numpy as np

from labbook.data import idx_files
from labbook.data.archives import Published
from labbook.data.torchvision_dataset import TorchvisionDataModule
from labbook.errors import SettingError
from labbook.files import write_whole

ARRAYS = dict(zip(idx_files.NAMES, ("x_train", "y_train", "x_test", "y_test"), strict=True))  # of Keras' mnist.npz
UNREADABLE_ARCHIVE = (OSError, EOFError, zlib.error, ValueError, KeyError, zipfile.BadZipFile)


class MNIST(TorchvisionDataModule):
    """60,000 handwritten digits for training and 10,000 for test, 28 x 28, grey."""

    dataset = "MNIST"
    folder = "MNIST/raw"
    packed = folder
    archives = idx_files.published_files(
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        sizes=(9_912_422, 28_881, 1_648_877, 4_542),
        ending=".gz",
    )
    contents = idx_files.MNIST
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://dataset.bj.bcebos.com/mnist/",
    )
    lookalikes: ClassVar[tuple[str, ...]] = ("mnist*", "*ubyte*", "MNIST/[!r]*", "MNIST/raw/*")
    by_hand = "put train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files there, unpacked"
    class_names = tuple("0123456789")
    native_size = 28
    native_channels = 1
    mean = (0.1307,)
    std = (0.3081,)
    mirrored = False
    box = 20 / 28

    def adopt_files(self) -> bool:
        return adopt_from_layouts(Path(self.root), self.folder, list(self.contents.values()))

    def is_of_its_own(self) -> bool:
        return bool(idx_files.own_files(Path(self.root) / self.folder, self.contents.values()))

    def content(self, train: bool) -> str:
        """A hash of the files if they are not the published ones."""
        if not self.is_of_its_own():
            return super().content(train)
        names = (file.name for file in self.contents.values())
        part = "train" if train else "t10k"
        return idx_files.content_hash(Path(self.root) / self.folder / name for name in names if name.startswith(part))


class FashionMNIST(MNIST):
    """60,000 images of clothing for training and 10,000 for test, in MNIST's format."""

    dataset = "FashionMNIST"
    folder = "FashionMNIST/raw"
    packed = folder
    archives = idx_files.published_files(
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        sizes=(26_421_880, 29_515, 4_422_102, 5_148),
        ending=".gz",
    )
    contents = idx_files.FASHION_MNIST
    lookalikes = ("fashion*", "*ubyte*", "FashionMNIST/[!r]*", "FashionMNIST/raw/*")
    mirrors = (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://dataset.bj.bcebos.com/fashion_mnist/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    )
    class_names = (
        "T-shirt/top", "trouser", "pullover", "dress", "coat",
        "sandal", "shirt", "sneaker", "bag", "ankle boot",
    )  # fmt: skip
    mean = (0.2860,)
    std = (0.3530,)
    mirrored = True
    box = 1.0


# Other layouts: dots in the names, packed again, mnist.npz, other folders --------------------------------------------


def adopt_from_layouts(root: Path, folder: str, files: Sequence[Published]) -> bool:
    """Copy published files that are missing in `root`/`folder` from other layouts; whether any were found.

    Other files in such a layout in `root`/MNIST or `root`/FashionMNIST are a SettingError.
    """
    raw, adopted = root / folder, False
    for file in files:
        if (raw / file.name).is_file():
            continue
        candidates = list(candidate_contents(root, raw, file))
        content = next((content for _, content in candidates if file.is_content(BytesIO(content))), None)
        if content is not None:
            raw.mkdir(parents=True, exist_ok=True)
            write_whole(raw / file.name, content)
            adopted = True
        elif own := [path for path, _ in candidates if path.is_relative_to(raw.parent) and path.suffix != ".gz"]:
            raise SettingError(
                f"{own[0]} is not the published file: move your own files to {raw} with names such as {file.name}, or"
                " delete it"
            )
    return adopted


def candidate_contents(root: Path, raw: Path, file: Published) -> Iterator[tuple[Path, bytes]]:
    """Paths where the file can be in another form, with the bytes."""
    for place in (raw, raw.parent, root / "raw", root):
        for name in (file.name, file.name.replace("-idx", ".idx")):
            for path in (place / name, place / name / name, place / name / file.name, place / f"{name}.gz"):
                with suppress(*UNREADABLE_ARCHIVE):
                    yield path, gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        with suppress(*UNREADABLE_ARCHIVE):
            yield place / "mnist.npz", array_as_file(place / "mnist.npz", file.name)


def array_as_file(path: Path, name: str) -> bytes:
    """An array of a .npz as a file in MNIST's format."""
    with np.load(path, allow_pickle=False) as arrays:
        values = arrays[ARRAYS[name]]
    if values.dtype != np.uint8:
        raise ValueError(f"{path} does not hold uint8")
    header = bytes((0, 0, 8, values.ndim)) + b"".join(length.to_bytes(4) for length in values.shape)
    content: bytes = header + values.tobytes()
    return content
