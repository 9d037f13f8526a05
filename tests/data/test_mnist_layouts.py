"""MNIST and CIFAR as others have them: used, or named where they are refused."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from labbook.data.cifar import CIFAR10
from labbook.data.mnist import ARRAYS, MNIST, FashionMNIST
from tests.data.mirror import Web
from tests.data.samples import idx, write_mnist
from tests.data.small_sets import IMAGES, TEST, TRAIN, refusal

pytestmark = pytest.mark.usefixtures("_mirrors")

Files = dict[str, bytes]


def dotted(root: Path, files: Files) -> None:
    for name, content in files.items():
        (root / name.replace("-idx", ".idx")).write_bytes(content)


def packed_again(root: Path, files: Files) -> None:
    (root / "MNIST" / "raw").mkdir(parents=True)
    for name, content in files.items():
        (root / "MNIST" / "raw" / f"{name}.gz").write_bytes(gzip.compress(content, 1, mtime=7))


def beside_raw(root: Path, files: Files) -> None:
    (root / "MNIST").mkdir()
    for name, content in files.items():
        (root / "MNIST" / name).write_bytes(content)


def in_raw(root: Path, files: Files) -> None:
    (root / "raw").mkdir()
    for name, content in files.items():
        (root / "raw" / name).write_bytes(content)


def in_folders(root: Path, files: Files) -> None:
    for name, content in files.items():
        (root / name).mkdir()
        (root / name / name).write_bytes(content)


def as_arrays(root: Path, files: Files) -> None:
    values = (TRAIN.pixels.squeeze(1), TRAIN.labels.byte(), TEST.pixels.squeeze(1), TEST.labels.byte())
    np.savez(root / "mnist.npz", **{key: each.numpy() for key, each in zip(ARRAYS.values(), values, strict=True)})


@pytest.mark.parametrize("write", [dotted, packed_again, beside_raw, in_raw, in_folders, as_arrays])
def test_other_layouts_of_mnist_are_used(
    write: Callable[[Path, Files], None], mnist: Files, tmp_path: Path, web: Web
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    write(root, mnist)
    module = MNIST(root=str(root))
    module.setup()
    assert torch.equal(module.parts["train"].pixels, TRAIN.pixels)
    assert torch.equal(module.parts["test"].labels, TEST.labels)
    assert module.parts["train"].content == "MNIST"
    assert web.asked == []


def test_what_others_have_completes_a_set(mnist: Files, tmp_path: Path, web: Web) -> None:
    dotted(tmp_path, dict(list(mnist.items())[:2]))
    MNIST(root=str(tmp_path)).prepare_data()
    assert len(web.asked) == 2


def test_files_of_ones_own_are_not_taken_for_the_published_ones(tmp_path: Path, web: Web) -> None:
    """The run ID notes own files in raw/ before anything is read."""
    write_mnist(tmp_path / "FashionMNIST", TEST, TRAIN)
    said = refusal(FashionMNIST(root=str(tmp_path)))
    assert said.startswith(f"{tmp_path / 'FashionMNIST' / IMAGES} is not the published file: move your own files to ")
    write_mnist(tmp_path / "other", TEST, TRAIN)
    said = refusal(FashionMNIST(root=str(tmp_path / "other")))
    assert f"; found, but not used: {tmp_path / 'other' / 't10k-images-idx3-ubyte'}, " in said
    assert not (tmp_path / "other" / "FashionMNIST" / "raw" / IMAGES).exists()


def test_what_is_not_used_is_named(mnist: Files, tmp_path: Path, web: Web) -> None:
    web.answers.clear()
    (tmp_path / "mnist_train.csv").write_text("label,1x1\n")
    (tmp_path / "mnist.npz").write_bytes(b"no arrays")
    said = refusal(MNIST(root=str(tmp_path)))
    assert said.endswith(f"; found, but not used: {tmp_path / 'mnist.npz'}, {tmp_path / 'mnist_train.csv'}")


def test_other_versions_and_damaged_archives_of_cifar_are_named(tmp_path: Path) -> None:
    for name in ("cifar-10-batches-bin", "cifar-10-batches-mat"):
        (tmp_path / name).mkdir()
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(gzip.compress(idx(TRAIN.pixels))[:1000])
    said = refusal(CIFAR10(root=str(tmp_path)))
    found = [tmp_path / name for name in ("cifar-10-batches-bin", "cifar-10-batches-mat", "cifar-10-python.tar.gz")]
    assert said.endswith(f"; found, but not used: {', '.join(map(str, found))} (damaged)")
