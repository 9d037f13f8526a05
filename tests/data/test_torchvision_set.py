"""Sets in torchvision's formats: read as they are, made whole where they are not, and refused in words."""

import gzip
import hashlib
import io
import multiprocessing
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import datasets

from labbook.data import archives
from labbook.data.cifar import CIFAR10, CIFAR100
from labbook.data.download import Published
from labbook.data.mnist import MNIST, FashionMNIST
from labbook.data.module import Images
from labbook.data.torchvision_set import TorchvisionDataModule
from labbook.errors import SettingError
from tests.data import mirror
from tests.data.mirror import Web, offline, serving
from tests.data.samples import REAL, idx, images, needs, noise, truncate, write_cifar, write_mnist

TRAIN, TEST = images(30, 1, 28, 10, seed=1), images(20, 1, 28, 10, seed=2)
MNIST_BY_HAND = (
    "; by hand: put train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files there, unpacked,"
    " or name another place with data.root=FOLDER"
)
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture(autouse=True)
def web(server: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    """No test reaches the network: the mirrors of all sets are on this machine, and have nothing."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for kind in (MNIST, FashionMNIST, CIFAR10, CIFAR100):
        monkeypatch.setattr(kind, "mirrors", (server.url(), server.url("second/")))
    server.answers.clear()
    server.asked.clear()
    return server


def refusal(module: TorchvisionDataModule) -> str:
    with pytest.raises(SettingError) as refused:
        module.prepare_data()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def published(name: str, content: bytes) -> Published:
    return Published(name, len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture
def mnist(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A small MNIST on the server, as if it were the published one; the unpacked files."""
    write_mnist(tmp_path / "server", TRAIN, TEST)
    files = {path.name: path.read_bytes() for path in sorted((tmp_path / "server").iterdir())}
    packed = {f"{name}.gz": gzip.compress(content) for name, content in files.items()}
    for name, content in packed.items():
        web.put(name, content)
    monkeypatch.setattr(MNIST, "archives", tuple(published(*item) for item in packed.items()))
    monkeypatch.setattr(MNIST, "contents", {f"{name}.gz": published(name, files[name]) for name in files})
    return files


def archive_of(web: Web, monkeypatch: pytest.MonkeyPatch, content: bytes) -> bytes:
    """On the server, as if it were the published CIFAR-10."""
    web.put("cifar-10-python.tar.gz", content)
    monkeypatch.setattr(CIFAR10, "archives", (published("cifar-10-python.tar.gz", content),))
    return content


@pytest.fixture
def cifar(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A small CIFAR-10 on the server, as if it were the published one; the archive."""
    write_cifar(datasets.CIFAR10, tmp_path / "server", images(20, 3, 32, 10), images(10, 3, 32, 10), monkeypatch)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(tmp_path / "server" / CIFAR10.folder, CIFAR10.folder)
    return archive_of(web, monkeypatch, packed.getvalue())


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
    said = f"train: {tmp_path / MNIST.folder} holds a set of its own in the format of MNIST, not the published one"
    assert module.notes == [said]


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
        f"{kind.dataset} is not whole in {root / kind.folder} and could not be downloaded ({kind.archives[0].name} from"
        " one.invalid: its name cannot be resolved; two.invalid: its name cannot be resolved)"
        f"; by hand: {by_hand}, or name another place with data.root=FOLDER"
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
    web.put(f"{LABELS}.gz", gzip.compress(mnist[LABELS]))
    assert torch.equal(MNIST(root=str(tmp_path)).load()[0].labels, TRAIN.labels)
    assert {name.removeprefix("second/") for name, _ in web.asked} == {f"{LABELS}.gz"}


# Downloads ----------------------------------------------------------------------------------------------------------


def test_a_missing_set_is_downloaded_once(mnist: dict[str, bytes], tmp_path: Path, web: Web) -> None:
    root = tmp_path / "data"
    module = MNIST(root=str(root))
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
    fork = multiprocessing.get_context("fork")
    together, results = fork.Barrier(3), fork.SimpleQueue()

    def one() -> None:
        together.wait(10)
        results.put(MNIST(root=str(tmp_path / "data")).read()[0].labels.tolist())

    processes = [fork.Process(target=one) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert [results.get() for _ in processes] == [TRAIN.labels.tolist()] * 3
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
    assert said.startswith(f"CIFAR10 is not whole in {root / 'cifar-10-batches-py'} and could not be downloaded (")
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
    assert f"it holds {EVIL[name].name!r}, which is no plain file below its folder" in said
    assert not (tmp_path / "deep" / "outside").exists()
    assert sorted(path.name for path in root.iterdir()) == [".CIFAR10.lock", "cifar-10-python.tar.gz"]


def test_an_archive_of_something_else_is_refused(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(member("cifar-100-python/train"))
    archive_of(web, monkeypatch, packed.getvalue())
    assert "holds no folder cifar-10-batches-py" in refusal(CIFAR10(root=str(tmp_path)))


@pytest.mark.parametrize(
    "content", [b"no gz", b"\x1f\x8b\x08", gzip.compress(b"x" * 999)[:-9]], ids=["no", "head", "cut"]
)
def test_an_archive_that_cannot_be_unpacked_is_said(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(archives.ArchiveError, match=r"^a\.gz cannot be unpacked"):
        archives.install(tmp_path / "a.gz", tmp_path / "raw")
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


def one_bit(raw: Path) -> None:
    content = bytearray((raw / IMAGES).read_bytes())
    content[4321] ^= 1
    (raw / IMAGES).write_bytes(content)


def other_labels(raw: Path) -> None:
    (raw / LABELS).write_bytes(idx(TRAIN.labels.flip(0)))


HARMS = [
    (cut, "shape '[30, 28, 28]' is invalid for input of size 11752"),
    (cut_labels, "shape '[20]' is invalid for input of size 17"),
    (only_a_header, ""),
    (empty, ""),
    (packed, "not in its format"),
    (of_another_type, "10"),
    (of_floats, "x should be of dtype torch.uint8 instead of torch.float32"),
    (too_many_classes, f"{LABELS} differs from what was published"),
    (one_bit, f"{IMAGES} differs from what was published"),
    (other_labels, f"{LABELS} differs from what was published"),
]


@pytest.mark.parametrize(("harm", "reason"), HARMS)
def test_a_damaged_file_is_downloaded_anew_and_kept_aside(
    harm: Callable[[Path], None], reason: str, mnist: dict[str, bytes], tmp_path: Path, web: Web
) -> None:
    raw = tmp_path / MNIST.folder
    write_mnist(raw, TRAIN, TEST)
    harm(raw)
    (harmed,) = [name for name, content in mnist.items() if (raw / name).read_bytes() != content]
    bad = (raw / harmed).read_bytes()
    served, web.answers = web.answers, {}
    said = refusal(MNIST(root=str(tmp_path)))
    assert said.startswith(f"MNIST is damaged ({reason}")
    assert f") in {raw} and could not be downloaded ({harmed}.gz from 127.0.0.1:" in said
    assert said.endswith(MNIST_BY_HAND)
    assert (raw / harmed).read_bytes() == bad
    web.answers = served
    module = MNIST(root=str(tmp_path))
    module.setup()
    assert torch.equal(module.load()[0].pixels, TRAIN.pixels)
    assert torch.equal(module.load()[0].labels, TRAIN.labels)
    assert (raw / f"{harmed}.damaged").read_bytes() == bad
    kept = f"train: MNIST was damaged and is downloaded anew; the damaged files are kept: {harmed}.damaged"
    assert module.notes == [kept]
    assert {name.removeprefix("second/") for name, _ in web.asked} == {f"{harmed}.gz"}


def test_a_damaged_file_of_an_archive_is_unpacked_anew(cifar: bytes, tmp_path: Path, web: Web) -> None:
    CIFAR10(root=str(tmp_path)).read()
    batch = tmp_path / CIFAR10.folder / "data_batch_3"
    (tmp_path / CIFAR10.folder / "mine.txt").write_text("notes")
    truncate(batch, 0.5)
    assert len(CIFAR10(root=str(tmp_path)).read()[0].labels) == 20
    assert {path.name for path in (tmp_path / CIFAR10.folder).iterdir()} >= {"data_batch_3.damaged", "mine.txt"}
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (too_many_classes, "label 12 in a set of 10 classes"),
        (too_few_labels, "30 images with 29 labels"),
        (cut, "shape '[30, 28, 28]' is invalid for input of size 11752"),
    ],
)
def test_a_damaged_set_of_ones_own_is_not_replaced_by_the_published_one(
    harm: Callable[[Path], None], reason: str, tmp_path: Path, web: Web
) -> None:
    raw = tmp_path / MNIST.folder
    write_mnist(raw, TRAIN, TEST)
    harm(raw)
    before = {path: path.read_bytes() for path in raw.iterdir()}
    assert refusal(MNIST(root=str(tmp_path))) == (
        f"MNIST is damaged ({reason}) in {raw} and could not be downloaded (it is not the published set, so mend it)"
        + MNIST_BY_HAND
    )
    assert {path: path.read_bytes() for path in raw.iterdir()} == before
    assert web.asked == []


def test_a_file_is_not_called_damaged_while_another_process_unpacks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: Web
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
    assert web.asked == []


def test_pixels_become_channels_first() -> None:
    class Part:
        data = noise(4, 5, 6, 3).numpy()
        targets = (0, 1, 2, 3)

    read: Images = CIFAR10().images(Part())
    assert read.pixels.shape == (4, 3, 5, 6)
    assert torch.equal(read.pixels[1, 2], torch.as_tensor(Part.data)[1, :, :, 2])
    assert read.pixels.is_contiguous()
