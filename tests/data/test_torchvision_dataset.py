"""Sets in torchvision's formats: read as they are, made whole where they are not, and refused in words."""

import gzip
import io
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import datasets

from labbook.data import archives
from labbook.data.cifar import CIFAR10, CIFAR100
from labbook.data.datamodule import Images
from labbook.data.mnist import MNIST, FashionMNIST
from labbook.data.torchvision_dataset import TorchvisionDataModule
from tests.data import mirror
from tests.data.mirror import Web, offline
from tests.data.samples import REAL, images, in_three_processes, needs, noise, write_mnist
from tests.data.small_sets import IMAGES, LABELS, MNIST_BY_HAND, TEST, TRAIN, archive_of, refusal

pytestmark = pytest.mark.usefixtures("_mirrors")

# Files that are there -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_files_that_are_there_are_read_without_asking_anyone(kind: type[MNIST], tmp_path: Path, web: Web) -> None:
    write_mnist(tmp_path / kind.folder, TRAIN, TEST)
    module = kind(root=str(tmp_path))
    train, test = module.load()
    assert torch.equal(train.pixels, TRAIN.pixels)
    assert torch.equal(train.labels, TRAIN.labels)
    assert torch.equal(test.pixels, TEST.pixels)
    assert torch.equal(test.labels, TEST.labels)
    assert train.labels.dtype == torch.int64
    assert web.asked == []


def test_a_set_of_ones_own_is_said_to_be_one(tmp_path: Path) -> None:
    write_mnist(tmp_path / MNIST.folder, TRAIN, TEST)
    module = MNIST(root=str(tmp_path))
    module.setup()
    said = f"train: {tmp_path / MNIST.folder} has your own data set in the format of MNIST, not the published one"
    assert module.notes[:1] == [said]


def test_a_set_may_lie_where_nothing_can_be_written(tmp_path: Path) -> None:
    write_mnist(tmp_path / MNIST.folder, TRAIN, TEST)
    before = sorted(tmp_path.rglob("*"))
    MNIST(root=str(tmp_path)).load()
    assert sorted(tmp_path.rglob("*")) == before


@needs("MNIST")
def test_the_real_files_are_those_of_the_table() -> None:
    for content in MNIST.contents.values():
        assert content.is_at(REAL / MNIST.folder / content.name)


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST, CIFAR10, CIFAR100])
def test_the_tables_are_complete(kind: type[TorchvisionDataModule], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert len(kind.mirrors) >= 3
    assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in kind.mirrors)
    assert all(len(archive.digest) == 64 and int(archive.digest, 16) for archive in kind.archives)
    official = getattr(datasets, kind.dataset)
    names = [official.filename] if hasattr(official, "filename") else [name for name, _ in official.resources]
    assert [archive.name for archive in kind.archives] == names
    assert set(kind.contents) == (set(names) if len(names) > 1 else set())


# Files that are not -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "by_hand"),
    [
        (MNIST, "put train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files there, unpacked"),
        (CIFAR10, f"put cifar-10-python.tar.gz (sha256 {CIFAR10.archives[0].digest}) beside that folder"),
    ],
)
def test_a_missing_set_without_a_network_says_how_to_get_it(
    kind: type[TorchvisionDataModule], by_hand: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch)
    monkeypatch.setattr(kind, "mirrors", ("https://one.invalid/", "https://two.invalid/"))
    root = tmp_path / "not" / "there"
    assert refusal(kind(root=str(root))) == (
        f"{kind.dataset} is incomplete in {root / kind.folder} and could not be downloaded"
        f" ({kind.archives[0].name} from"
        " one.invalid: its name cannot be resolved; two.invalid: its name cannot be resolved)"
        f"; by hand: {by_hand}, or use another folder with data.root=FOLDER"
    )


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.touch()
    assert "could not be downloaded ([Errno 17] File exists" in refusal(MNIST(root=str(root)))


def test_one_missing_file_is_a_missing_set(mnist: dict[str, bytes], tmp_path: Path, web: Web) -> None:
    write_mnist(tmp_path / MNIST.folder, TRAIN, TEST)
    (tmp_path / MNIST.folder / LABELS).unlink()
    web.answers.clear()
    assert refusal(MNIST(root=str(tmp_path))).endswith(MNIST_BY_HAND)
    web.put(f"{LABELS}.gz", gzip.compress(mnist[LABELS], mtime=0))
    assert torch.equal(MNIST(root=str(tmp_path)).load()[0].labels, TRAIN.labels)
    assert {name.removeprefix("second/") for name, _ in web.asked} == {f"{LABELS}.gz"}


# Downloads ----------------------------------------------------------------------------------------------------------


def test_a_missing_set_is_downloaded_once(mnist: dict[str, bytes], tmp_path: Path, web: Web) -> None:
    root = tmp_path / "data"
    module = MNIST(root=str(root), val_fraction=0)
    module.setup()
    assert module.notes == []
    assert torch.equal(module.load()[0].pixels, TRAIN.pixels)
    assert torch.equal(MNIST(root=str(root)).read()[1].pixels, TEST.pixels)
    assert web.asked == [(archive.name, None) for archive in MNIST.archives]
    there = {path.name for path in (root / MNIST.folder).iterdir()}
    assert there == {*mnist, *(archive.name for archive in MNIST.archives)}


def test_the_tar_archive_is_downloaded_and_unpacked(cifar: bytes, tmp_path: Path, web: Web) -> None:
    root = tmp_path / "data"
    train, test = CIFAR10(root=str(root)).load()
    assert torch.equal(train.pixels, images(20, 3, 32, 10).pixels)
    assert (len(train.labels), len(test.labels)) == (20, 10)
    assert len(web.asked) == 1
    assert {path.name for path in root.iterdir()} == {
        ".CIFAR10.lock", "cifar-10-python.tar.gz", CIFAR10.folder
    }  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_at_once_download_once(mnist: dict[str, bytes], tmp_path: Path, web: Web) -> None:
    for name, (_, content) in list(web.answers.items()):
        web.put(name, content, mirror.dripping(2000, 0.01))
    labels = in_three_processes(lambda: MNIST(root=str(tmp_path / "data")).read()[0].labels.tolist())
    assert labels == [TRAIN.labels.tolist()] * 3
    assert web.asked == [(archive.name, None) for archive in MNIST.archives]


def test_an_interrupted_download_goes_on_in_the_next_run(mnist: dict[str, bytes], tmp_path: Path, web: Web) -> None:
    raw = tmp_path / "data" / MNIST.folder
    name = f"{IMAGES}.gz"
    _, content = web.answers[name]
    raw.mkdir(parents=True)
    (raw / f"{name}.partial").write_bytes(content[:1000])
    assert torch.equal(MNIST(root=str(tmp_path / "data")).load()[0].pixels, TRAIN.pixels)
    assert (name, "bytes=1000-") in web.asked


def test_half_an_archive_is_not_unpacked(cifar: bytes, tmp_path: Path, web: Web) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (root / "cifar-10-python.tar.gz").write_bytes(cifar[: len(cifar) // 2])
    web.answers.clear()
    said = refusal(CIFAR10(root=str(root)))
    assert said.startswith(f"CIFAR10 is incomplete in {root / 'cifar-10-batches-py'} and could not be downloaded (")
    assert "answers 404 Not Found" in said
    assert not (root / "cifar-10-batches-py").exists()
    web.put("cifar-10-python.tar.gz", cifar)
    CIFAR10(root=str(root)).load()


def test_an_archive_put_there_by_hand_is_unpacked(cifar: bytes, tmp_path: Path, web: Web) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(cifar)
    train, test = CIFAR10(root=str(tmp_path)).load()
    assert (len(train.labels), len(test.labels)) == (20, 10)
    assert web.asked == []


def test_a_server_that_sends_something_else_is_not_believed(mnist: dict[str, bytes], tmp_path: Path, web: Web) -> None:
    name = f"{LABELS}.gz"
    web.put(name, web.answers[name][1], mirror.page)
    said = refusal(MNIST(root=str(tmp_path / "data")))
    assert f"could not be downloaded ({name} from 127.0.0.1:" in said
    assert ": answers with a web page; 127.0.0.1:" in said


# Archives -------------------------------------------------------------------------------------------------------------


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


EVIL = {
    "above": member("cifar-10-batches-py/../../outside"),
    "absolute": member("/tmp/outside"),
    "symbolic link": member("cifar-10-batches-py/test_batch", tarfile.SYMTYPE, "/etc/passwd"),
    "link within": member("cifar-10-batches-py/test_batch", tarfile.SYMTYPE, "data_batch_1"),
    "hard link": member("cifar-10-batches-py/test_batch", tarfile.LNKTYPE, "cifar-10-batches-py/data_batch_1"),
    "pipe": member("cifar-10-batches-py/test_batch", tarfile.FIFOTYPE),
    "device": member("cifar-10-batches-py/test_batch", tarfile.CHRTYPE),
}


@pytest.mark.parametrize("name", EVIL)
def test_an_archive_that_reaches_outside_is_refused(
    name: str, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(member("cifar-10-batches-py/data_batch_1"))
        archive.addfile(EVIL[name])
    archive_of(web, monkeypatch, packed.getvalue())
    root = tmp_path / "deep" / "data"
    said = refusal(CIFAR10(root=str(root)))
    assert f"it holds {EVIL[name].name!r}, which is not a plain file in its folder" in said
    assert not (tmp_path / "deep" / "outside").exists()
    assert sorted(path.name for path in root.iterdir()) == [".CIFAR10.lock", "cifar-10-python.tar.gz"]


def test_an_archive_of_something_else_is_refused(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(member("cifar-100-python/train"))
    archive_of(web, monkeypatch, packed.getvalue())
    assert "has no folder cifar-10-batches-py" in refusal(CIFAR10(root=str(tmp_path)))


@pytest.mark.parametrize(
    "content", [b"no gz", b"\x1f\x8b\x08", gzip.compress(b"x" * 999)[:-9]], ids=["no", "head", "cut"]
)
def test_an_archive_that_cannot_be_unpacked_is_said(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(archives.ArchiveError, match=r"^a\.gz cannot be unpacked"):
        archives.install_archive(tmp_path / "a.gz", tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("moment", ["extractall", "replace"])
def test_an_interrupted_unpacking_leaves_nothing_that_counts_as_whole(
    moment: str, cifar: bytes, tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "extractall":
            patch.setattr(tarfile.TarFile, "extractall", interrupted)
        else:
            patch.setattr(archives.filecmp, "cmp", interrupted)
            (tmp_path / "data" / CIFAR10.folder).mkdir(parents=True)
            (tmp_path / "data" / CIFAR10.folder / "data_batch_2").write_bytes(b"old")
        with pytest.raises(KeyboardInterrupt):
            CIFAR10(root=str(tmp_path / "data")).load()
    assert not (tmp_path / "data" / CIFAR10.folder / "test_batch").exists()
    train, _ = CIFAR10(root=str(tmp_path / "data")).load()
    assert len(train.labels) == 20
    assert len(web.asked) == 1  # the archive was whole
    assert not list((tmp_path / "data").glob(".*unpacking"))


# In memory ----------------------------------------------------------------------------------------------------


def test_pixels_become_channels_first() -> None:
    class Part:
        data = noise(4, 5, 6, 3).numpy()
        targets = (0, 1, 2, 3)

    read: Images = CIFAR10().images(Part())
    assert read.pixels.shape == (4, 3, 5, 6)
    assert torch.equal(read.pixels[1, 2], torch.as_tensor(Part.data)[1, :, :, 2])
    assert read.pixels.is_contiguous()
