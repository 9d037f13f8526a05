"""Small sets in the real formats, which a test may let pass for the published ones."""

import hashlib

import pytest

from labbook.data.archives import Published
from labbook.data.cifar import CIFAR10
from labbook.data.torchvision_dataset import TorchvisionDataModule
from labbook.errors import SettingError
from tests.data.mirror import Web
from tests.data.samples import images

TRAIN, TEST = images(30, 1, 28, 10, seed=1), images(20, 1, 28, 10, seed=2)
MNIST_BY_HAND = (
    "; by hand: put train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files there, unpacked,"
    " or use another folder with data.root=FOLDER"
)
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def refusal(module: TorchvisionDataModule) -> str:
    with pytest.raises(SettingError) as refused:
        module.prepare_data()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def published(name: str, content: bytes) -> Published:
    return Published(name, len(content), hashlib.sha256(content).hexdigest())


def archive_of(web: Web, monkeypatch: pytest.MonkeyPatch, content: bytes) -> bytes:
    """On the server, as if it were the published CIFAR-10."""
    web.put("cifar-10-python.tar.gz", content)
    monkeypatch.setattr(CIFAR10, "archives", (published("cifar-10-python.tar.gz", content),))
    return content
