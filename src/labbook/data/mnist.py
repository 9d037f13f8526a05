"""MNIST (LeCun, Cortes and Burges, 1998) and Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017)."""

from labbook.data.torchvision_set import TorchvisionDataModule


class MNIST(TorchvisionDataModule):
    """60,000 handwritten digits to train, 10,000 to test, 28 x 28, grey."""

    dataset = "MNIST"
    folder = "MNIST/raw"
    by_hand = "put train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files there, unpacked"
    class_names = tuple("0123456789")
    native_size = 28
    native_channels = 1
    mean = (0.1307,)
    std = (0.3081,)


class FashionMNIST(MNIST):
    """60,000 pieces of clothing to train, 10,000 to test, in MNIST's format."""

    dataset = "FashionMNIST"
    folder = "FashionMNIST/raw"
    class_names = (
        "T-shirt/top", "trouser", "pullover", "dress", "coat",
        "sandal", "shirt", "sneaker", "bag", "ankle boot",
    )  # fmt: skip
    mean = (0.2860,)
    std = (0.3530,)
