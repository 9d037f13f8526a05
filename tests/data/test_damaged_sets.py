"""A set whose files are damaged is mended where it was published, and refused in words where it is one's own."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from labbook.data.cifar import CIFAR10
from labbook.data.datamodule import _recent
from labbook.data.idx_files import SETS
from labbook.data.mnist import MNIST
from labbook.runs.run_id import is_published, note_own_files, run_id
from tests.composing import composed
from tests.data.mirror import Web
from tests.data.samples import idx, python2_pickle, truncate, write_mnist
from tests.data.small_sets import LABELS, MNIST_BY_HAND, TEST, TRAIN, published, refusal

pytestmark = pytest.mark.usefixtures("_mirrors")


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
]


@pytest.mark.parametrize(("harm", "reason"), HARMS)
def test_a_damaged_file_is_downloaded_again_and_kept_aside(
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
    kept = f"train: MNIST was damaged and is downloaded again; the damaged files are kept: {harmed}.damaged"
    assert module.notes[:1] == [kept]
    assert {name.removeprefix("second/") for name, _ in web.asked} == {f"{harmed}.gz"}


def test_a_damaged_file_of_an_archive_is_unpacked_again(cifar: bytes, tmp_path: Path, web: Web) -> None:
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
        f"{raw} holds files of your own in the format of MNIST, which cannot be read ({reason}): repair them, or"
        " use another folder with"
        " data.root=FOLDER"
    )
    assert {path: path.read_bytes() for path in raw.iterdir()} == before
    assert web.asked == []


def test_a_set_of_mnist_s_exact_shape_is_used_as_it_is(mnist: dict[str, bytes], tmp_path: Path, web: Web) -> None:
    """Noisy labels, or other images, in files as long as the published ones."""
    raw = tmp_path / MNIST.folder
    write_mnist(raw, TRAIN, TEST)
    published = MNIST(root=str(tmp_path)).load()
    assert [part.content for part in published] == ["MNIST", "MNIST"]
    other_labels(raw)
    own = MNIST(root=str(tmp_path))
    _recent.clear()
    own.setup()
    assert torch.equal(own.parts["train"].labels, TRAIN.labels.flip(0))
    assert own.notes[0] == f"train: {raw} has your own data set in the format of MNIST, not the published one"
    assert len({own.parts["train"].content, own.parts["test"].content, "MNIST"}) == 3
    before = {path: path.read_bytes() for path in raw.iterdir()}
    assert set(before) == {raw / name for name in mnist}
    cut_labels(raw)
    _recent.clear()
    said = refusal(MNIST(root=str(tmp_path)))
    assert said.startswith(f"{raw} holds files of your own in the format of MNIST, which cannot be read (shape '[20]'")
    (raw / "t10k-labels-idx1-ubyte").unlink()
    assert "which cannot be read" in refusal(MNIST(root=str(tmp_path)))
    assert web.asked == []


def test_where_a_set_lies_is_told_apart_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path / MNIST.folder, TRAIN, TEST)
    data = {"_target_": "labbook.data.mnist.MNIST", "root": str(tmp_path)}
    assert not is_published(data)
    files = {path.name: published(path.name, path.read_bytes()) for path in (tmp_path / MNIST.folder).iterdir()}
    monkeypatch.setitem(SETS, str(data["_target_"]), (MNIST.folder, files))
    assert is_published(data)
    other_labels(tmp_path / MNIST.folder)
    assert not is_published(data)
    assert is_published(data | {"root": str(tmp_path / "nowhere")})


def test_an_identity_depends_on_own_files_only_by_what_is_noted_of_them(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "copy")]
    before = {run_id(composed("data=mnist", f"data.root={folder}")) for folder in folders}
    assert len(before) == 1
    for folder, train in zip(folders, (TRAIN, TEST, TRAIN), strict=True):
        write_mnist(folder / MNIST.folder, train, TEST)
    configs = [composed("data=mnist", f"data.root={folder}") for folder in (*folders, tmp_path / "none")]
    assert {run_id(config) for config in configs} == before
    one, two, copy, none = (run_id(note_own_files(config)) for config in configs)
    assert one == copy
    assert len({one, two, none}) == 3
    assert none in before


def test_files_of_ones_own_in_cifar_s_format_are_neither_read_nor_replaced(
    cifar: bytes, tmp_path: Path, web: Web
) -> None:
    CIFAR10(root=str(tmp_path)).read()
    batch = tmp_path / CIFAR10.folder / "data_batch_3"
    python2_pickle(batch, {"data": TEST.pixels.numpy(), "labels": TEST.labels.tolist()})
    before = batch.read_bytes()
    assert f"{batch.parent} holds files of your own in the format of CIFAR10" in refusal(CIFAR10(root=str(tmp_path)))
    assert batch.read_bytes() == before


@pytest.mark.parametrize("kind", [MNIST, CIFAR10])
def test_an_archive_of_ones_own_is_not_replaced(kind: type[MNIST] | type[CIFAR10], tmp_path: Path, web: Web) -> None:
    archive = tmp_path / kind.packed / kind.archives[0].name
    archive.parent.mkdir(parents=True, exist_ok=True)
    own = gzip.compress(idx(TEST.pixels.squeeze(1)))
    archive.write_bytes(own)
    assert refusal(kind(root=str(tmp_path))) == (
        f"{archive} is not the published archive: unpack it there if it is your own, or delete it"
    )
    assert archive.read_bytes() == own
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

    monkeypatch.setattr("labbook.data.torchvision_dataset.blocking_lock", Finished)
    assert torch.equal(MNIST(root=str(tmp_path)).load()[0].pixels, TRAIN.pixels)
    assert web.asked == []
