"""MNIST (LeCun, Cortes and Burges, 1998) and Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017)."""

from math import prod
from pathlib import Path
from typing import ClassVar

from labbook.data.download import Published
from labbook.data.torchvision_set import TorchvisionDataModule

SIZES = {  # bytes, of the files as they are read
    "train-images-idx3-ubyte": 16 + 60_000 * 28 * 28,
    "train-labels-idx1-ubyte": 8 + 60_000,
    "t10k-images-idx3-ubyte": 16 + 10_000 * 28 * 28,
    "t10k-labels-idx1-ubyte": 8 + 10_000,
}


def inside(*digests: str) -> dict[str, Published]:
    """What is in the four archives, by their names."""
    sizes = zip(SIZES.items(), digests, strict=True)
    return {f"{name}.gz": Published(name, size, digest) for (name, size), digest in sizes}


def announced(path: Path) -> int | None:
    """The bytes that a file of this format (magic number, big-endian shape, bytes) says it has; None of any other."""
    try:
        with path.open("rb") as file:
            *magic, dimensions = file.read(4)
            shape = [int.from_bytes(file.read(4)) for _ in range(dimensions)]
    except (OSError, ValueError):
        return None
    return 4 + 4 * dimensions + prod(shape) if magic == [0, 0, 8] else None


class MNIST(TorchvisionDataModule):
    """60,000 handwritten digits to train, 10,000 to test, 28 x 28, grey."""

    dataset = "MNIST"
    folder = "MNIST/raw"
    packed = folder
    archives = (
        Published(
            "train-images-idx3-ubyte.gz", 9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
        ),
        Published(
            "train-labels-idx1-ubyte.gz", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
        ),
        Published(
            "t10k-images-idx3-ubyte.gz", 1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
        ),
        Published(
            "t10k-labels-idx1-ubyte.gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
        ),
    )
    contents = inside(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    )
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://dataset.bj.bcebos.com/mnist/",
    )
    by_hand = "put train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files there, unpacked"
    class_names = tuple("0123456789")
    native_size = 28
    native_channels = 1
    mean = (0.1307,)
    std = (0.3081,)
    box = 20 / 28

    def is_of_its_own(self) -> bool:
        """Whether a file announces another number of images, or other ones, than the published set has."""
        files = {Path(self.root) / self.folder / file.name: file.size for file in self.contents.values()}
        return any(announced(path) not in (None, size) for path, size in files.items())


class FashionMNIST(MNIST):
    """60,000 pieces of clothing to train, 10,000 to test, in MNIST's format."""

    dataset = "FashionMNIST"
    folder = "FashionMNIST/raw"
    packed = folder
    archives = (
        Published(
            "train-images-idx3-ubyte.gz", 26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
        ),
        Published(
            "train-labels-idx1-ubyte.gz", 29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
        ),
        Published(
            "t10k-images-idx3-ubyte.gz", 4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
        ),
        Published(
            "t10k-labels-idx1-ubyte.gz", 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
        ),
    )
    contents = inside(
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    )
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
    box = 1.0
