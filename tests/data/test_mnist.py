"""MNIST and Fashion-MNIST as modules."""

from pathlib import Path

import pytest
import torch
from torchvision import datasets

from labbook.data.mnist import MNIST, FashionMNIST
from tests.data.samples import REAL, images, needs, write_mnist

HISTOGRAM = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_HISTOGRAM = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_the_spec_is_known_before_the_files_are(kind: type[MNIST]) -> None:
    spec = kind(root="nowhere").spec
    assert (spec.channels, spec.size, spec.num_classes) == (1, 28, 10)


def test_classes_are_in_the_order_of_the_labels() -> None:
    official = [name.lower() for name in datasets.FashionMNIST.classes]
    assert [name.lower() for name in FashionMNIST.class_names] == official
    assert [name[0] for name in datasets.MNIST.classes] == list(MNIST.class_names)


def test_the_two_sets_lie_side_by_side(tmp_path: Path) -> None:
    parts = {kind: images(10, 1, 28, 10, seed=seed) for seed, kind in enumerate([MNIST, FashionMNIST])}
    for kind, part in parts.items():
        write_mnist(tmp_path / kind.folder, part, part)
    for kind, part in parts.items():
        assert torch.equal(kind(root=str(tmp_path)).load()[0].pixels, part.pixels)


@needs("MNIST")
def test_the_real_set_is_the_published_one() -> None:
    module = MNIST(root=str(REAL))
    module.setup()
    train, test = module.parts["train"], module.parts["test"]
    assert train.pixels.shape == (60_000, 1, 28, 28)
    assert test.pixels.shape == (10_000, 1, 28, 28)
    assert torch.bincount(train.labels).tolist() == HISTOGRAM
    assert torch.bincount(test.labels).tolist() == TEST_HISTOGRAM
    shades = train.pixels.float() / 255
    assert float(shades.mean()) == pytest.approx(MNIST.mean[0], abs=5e-4)
    assert float(shades.std()) == pytest.approx(MNIST.std[0], abs=5e-4)
    assert [len(module.rows[split]) for split in ("train", "val", "test")] == [54_000, 6_000, 10_000]
