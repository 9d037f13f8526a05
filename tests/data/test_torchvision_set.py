"""Sets in torchvision's formats: read as they are, and refused in words where they are missing or damaged."""

import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torchvision import datasets
from torchvision.datasets import utils

from labbook.data.cifar import CIFAR10
from labbook.data.mnist import MNIST, FashionMNIST
from labbook.data.module import Images
from labbook.data.torchvision_set import TorchvisionDataModule
from labbook.errors import SettingError
from tests.data.samples import idx, images, md5, noise, truncate, write_cifar, write_mnist

TRAIN, TEST = images(30, 1, 28, 10, seed=1), images(20, 1, 28, 10, seed=2)
MNIST_BY_HAND = (
    "; by hand: put train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files there, unpacked,"
    " or name another place with data.root=FOLDER"
)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No test reaches the network; the addresses that one tried to."""
    addresses: list[str] = []

    def unreachable(url: str, *_: Any, **__: Any) -> None:
        addresses.append(url)
        raise URLError("no network")

    monkeypatch.setattr(utils, "_get_redirect_url", unreachable)
    monkeypatch.setattr(utils, "_urlretrieve", unreachable)
    return addresses


def refusal(module: TorchvisionDataModule) -> str:
    with pytest.raises(SettingError) as refused:
        module.prepare_data()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets torchvision download from a folder."""

    def copy(url: str, filename: Any, *_: Any, **__: Any) -> None:
        Path(filename).write_bytes((folder / Path(url).name).read_bytes())

    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr(utils, "_urlretrieve", copy)


# Files that are there -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_files_that_are_there_are_read_without_asking_anyone(
    kind: type[MNIST], tmp_path: Path, asked: list[str]
) -> None:
    write_mnist(tmp_path / kind.folder, TRAIN, TEST)
    module = kind(root=str(tmp_path))
    train, test = module.load()
    assert torch.equal(train.pixels, TRAIN.pixels)
    assert torch.equal(train.labels, TRAIN.labels)
    assert torch.equal(test.pixels, TEST.pixels)
    assert torch.equal(test.labels, TEST.labels)
    assert train.labels.dtype == torch.int64
    assert asked == []


def test_a_set_may_lie_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path / MNIST.folder, TRAIN, TEST)
    before = sorted(tmp_path.rglob("*"))
    MNIST(root=str(tmp_path)).load()
    assert sorted(tmp_path.rglob("*")) == before


# Files that are not -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "by_hand"),
    [
        (MNIST, "put train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files there, unpacked"),
        (CIFAR10, "put cifar-10-python.tar.gz (md5 c58f30108f718f92721af3b95e74349a) beside that folder"),
    ],
)
def test_a_missing_set_without_a_network_says_how_to_get_it(
    kind: type[TorchvisionDataModule], by_hand: str, tmp_path: Path, asked: list[str]
) -> None:
    root = tmp_path / "not" / "there"
    said = refusal(kind(root=str(root)))
    start = f"{kind.dataset} is not whole in {root / kind.folder} and could not be downloaded ("
    assert said.startswith(start)
    assert "no network" in said
    assert said.endswith(f"; by hand: {by_hand}, or name another place with data.root=FOLDER")
    assert asked


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.touch()
    assert "could not be downloaded ([Errno 17] File exists" in refusal(MNIST(root=str(root)))


def test_one_missing_file_is_a_missing_set(tmp_path: Path) -> None:
    write_mnist(tmp_path / MNIST.folder, TRAIN, TEST)
    (tmp_path / MNIST.folder / "t10k-labels-idx1-ubyte").unlink()
    assert refusal(MNIST(root=str(tmp_path))).endswith(MNIST_BY_HAND)


# Downloads ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def mnist_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds a small MNIST as it is downloaded, with its checksums."""
    server = tmp_path / "server"
    write_mnist(server, TRAIN, TEST)
    resources = []
    for path in sorted(server.iterdir()):
        packed = server / f"{path.name}.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        resources.append((packed.name, md5(packed)))
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    return server


def test_a_missing_set_is_downloaded_once(
    mnist_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    root = str(tmp_path / "data")
    with monkeypatch.context() as patch:
        serving(mnist_server, patch)
        assert torch.equal(MNIST(root=root).read()[0].pixels, TRAIN.pixels)
    assert torch.equal(MNIST(root=root).read()[1].pixels, TEST.pixels)
    assert asked == []


def test_a_download_cut_short_is_not_used_and_is_made_good_later(
    mnist_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "data" / MNIST.folder
    raw.mkdir(parents=True)
    archive = raw / "train-images-idx3-ubyte.gz"
    archive.write_bytes((mnist_server / archive.name).read_bytes())
    truncate(archive, 0.5)
    said = refusal(MNIST(root=str(tmp_path / "data")))
    assert said.startswith(f"MNIST is not whole in {raw} and could not be downloaded (")
    assert said.endswith(MNIST_BY_HAND)
    assert not (raw / "train-images-idx3-ubyte").exists()
    with monkeypatch.context() as patch:
        serving(mnist_server, patch)
        assert torch.equal(MNIST(root=str(tmp_path / "data")).read()[0].pixels, TRAIN.pixels)


def test_a_server_that_sends_something_else_is_not_believed(
    mnist_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mnist_server / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"<html>please log in</html>"))
    serving(mnist_server, monkeypatch)
    said = refusal(MNIST(root=str(tmp_path / "data")))
    assert "could not be downloaded (Error downloading train-labels-idx1-ubyte.gz" in said


@pytest.fixture
def cifar_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A small CIFAR-10 as it is downloaded; torchvision expects its checksums."""
    server, archive = tmp_path / "server", tmp_path / "server" / "cifar-10-python.tar.gz"
    write_cifar(datasets.CIFAR10, server, images(20, 3, 32, 10), images(10, 3, 32, 10), monkeypatch)
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(server / CIFAR10.folder, CIFAR10.folder)
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive))
    return archive.read_bytes()


def test_an_archive_put_there_by_hand_is_unpacked(cifar_archive: bytes, tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(cifar_archive)
    train, test = CIFAR10(root=str(tmp_path)).load()
    assert torch.equal(train.pixels, images(20, 3, 32, 10).pixels)
    assert (len(train.labels), len(test.labels)) == (20, 10)
    assert asked == []


def test_half_an_archive_is_not_unpacked(cifar_archive: bytes, tmp_path: Path, asked: list[str]) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (root / "cifar-10-python.tar.gz").write_bytes(cifar_archive[: len(cifar_archive) // 2])
    said = refusal(CIFAR10(root=str(root)))
    assert said.startswith(f"CIFAR10 is not whole in {root / 'cifar-10-batches-py'} and could not be downloaded (")
    assert "by hand: put cifar-10-python.tar.gz (md5 " in said
    assert asked
    assert not (root / "cifar-10-batches-py").exists()


# Damaged files -------------------------------------------------------------------------------------------------------


def cut(raw: Path) -> None:
    truncate(raw / "train-images-idx3-ubyte", 0.5)


def cut_labels(raw: Path) -> None:
    truncate(raw / "t10k-labels-idx1-ubyte", 0.9)


def only_a_header(raw: Path) -> None:
    (raw / "t10k-images-idx3-ubyte").write_bytes(idx(TEST.pixels.squeeze(1))[:16])


def empty(raw: Path) -> None:
    (raw / "train-labels-idx1-ubyte").write_bytes(b"")


def packed(raw: Path) -> None:
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(path.read_bytes()))


def of_another_type(raw: Path) -> None:
    (raw / "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 0x0A, 1, 0, 0, 0, 1, 1]))


def of_floats(raw: Path) -> None:
    (raw / "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 0x0D, 1, 0, 0, 0, 1, 0, 0, 0, 0]))


def too_few_labels(raw: Path) -> None:
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(TRAIN.labels[:29]))


def too_many_classes(raw: Path) -> None:
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(TRAIN.labels + 3))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (cut, "shape '[30, 28, 28]' is invalid for input of size 11752"),
        (cut_labels, "shape '[20]' is invalid for input of size 17"),
        (only_a_header, ""),
        (empty, ""),
        (packed, "not in its format"),
        (of_another_type, "10"),
        (of_floats, "x should be of dtype torch.uint8 instead of torch.float32"),
        (too_few_labels, "30 images with 29 labels"),
        (too_many_classes, "label 12 in a set of 10 classes"),
    ],
)
def test_a_damaged_file_is_said_to_be_damaged(
    harm: Callable[[Path], None], reason: str, tmp_path: Path, asked: list[str]
) -> None:
    raw = tmp_path / MNIST.folder
    write_mnist(raw, TRAIN, TEST)
    harm(raw)
    said = refusal(MNIST(root=str(tmp_path)))
    assert said.startswith(f"a file of MNIST in {raw} is damaged ({reason}")
    assert said.endswith("): delete that folder and run again")
    assert asked == []


def test_a_file_is_not_called_damaged_while_another_process_unpacks_it(
    mnist_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look may fall between the beginning and the end of the other's unpacking; the second waits for it."""
    write_mnist(tmp_path / MNIST.folder, TRAIN, TEST)
    whole = (tmp_path / MNIST.folder / "train-images-idx3-ubyte").read_bytes()
    cut(tmp_path / MNIST.folder)

    class Finished:
        def __init__(self, _: Path) -> None: ...

        def __enter__(self) -> None:
            (tmp_path / MNIST.folder / "train-images-idx3-ubyte").write_bytes(whole)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("labbook.data.torchvision_set.FileLock", Finished)
    assert torch.equal(MNIST(root=str(tmp_path)).load()[0].pixels, TRAIN.pixels)


def test_pixels_become_channels_first() -> None:
    class Part:
        data = noise(4, 5, 6, 3).numpy()
        targets = (0, 1, 2, 3)

    read: Images = CIFAR10().images(Part())
    assert read.pixels.shape == (4, 3, 5, 6)
    assert torch.equal(read.pixels[1, 2], torch.as_tensor(Part.data)[1, :, :, 2])
    assert read.pixels.is_contiguous()
