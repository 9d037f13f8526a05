"""Sets of torchvision by name, on small files in the formats that torchvision reads."""

import bz2
import struct
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets

from labbook.data import torchvision_by_name
from labbook.data.torchvision_by_name import SOURCES, TorchvisionByName
from labbook.errors import SettingError
from tests.data.samples import idx, images, noise, write_mnist

needs_scipy = pytest.mark.skipif(not find_spec("scipy"), reason="needs the extra: make setup EXTRAS=datasets")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **named: Any) -> None:
        raise RuntimeError("no network here")

    for name in ("download_url", "download_and_extract_archive"):
        for module in (datasets.mnist, datasets.usps, datasets.stl10, datasets.eurosat, datasets.svhn):
            monkeypatch.setattr(module, name, refuse, raising=False)


def opened(name: str, root: Path, **options: Any) -> TorchvisionByName:
    module = TorchvisionByName(name=name, root=str(root), cache_dir=str(root / "cache"), **options)
    module.setup()
    return module


# Arrays --------------------------------------------------------------------------------------------------------------

TRAIN, TEST = images(30, 1, 28, 10, seed=1), images(20, 1, 28, 10, seed=2)


def write_emnist(root: Path) -> None:
    raw = root / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    for part, each in {"train": TRAIN, "test": TEST}.items():
        pixels = each.pixels.squeeze(1).transpose(1, 2)  # as NIST has them
        (raw / f"emnist-letters-{part}-images-idx3-ubyte").write_bytes(idx(pixels))
        (raw / f"emnist-letters-{part}-labels-idx1-ubyte").write_bytes(idx(each.labels + 1))


def write_qmnist(root: Path) -> None:
    raw = root / "QMNIST" / "raw"
    raw.mkdir(parents=True)
    for part, each in {"train": TRAIN, "test": TEST}.items():
        table = torch.zeros(len(each.labels), 8, dtype=torch.int32)
        table[:, 0] = each.labels
        table[:, 2] = 77
        header = struct.pack(">HBBII", 0, 12, 2, *table.shape)
        (raw / f"qmnist-{part}-images-idx3-ubyte").write_bytes(idx(each.pixels.squeeze(1)))
        (raw / f"qmnist-{part}-labels-idx2-int").write_bytes(header + table.numpy().astype(">i4").tobytes())


@pytest.mark.parametrize(
    ("name", "write", "options", "classes"),
    [
        ("KMNIST", lambda root: write_mnist(root / "KMNIST" / "raw", TRAIN, TEST), {}, ("o", "ki")),
        ("EMNIST", write_emnist, {"options": {"split": "letters"}}, ("a", "b")),
        ("QMNIST", write_qmnist, {}, ("0 - zero", "1 - one")),
    ],
)
def test_sets_in_the_format_of_mnist(
    name: str, write: Callable[[Path], None], options: dict[str, Any], classes: tuple[str, ...], tmp_path: Path
) -> None:
    write(tmp_path)
    module = opened(name, tmp_path, **options)
    for part, expected in {"train": TRAIN, "test": TEST}.items():
        assert torch.equal(module.parts[part].pixels, expected.pixels)
        assert torch.equal(module.parts[part].labels, expected.labels)
    assert module.class_names[:2] == classes
    assert len(module.class_names) == (26 if name == "EMNIST" else 10)
    assert (module.spec.channels, module.spec.size, module.spec.mean) == (1, 28, (0.5,))
    assert [len(module.rows[part]) for part in ("train", "val", "test")] == [20, 10, 20]
    alone = opened(name, tmp_path, only="test", **options)
    assert (len(alone.parts["train"].labels), len(alone.parts["test"].labels)) == (0, 20)
    assert alone.at_hand()


def test_usps_is_read_from_its_text(tmp_path: Path) -> None:
    for file, count in {"usps.bz2": 12, "usps.t.bz2": 4}.items():
        values = " ".join(f"{place}:{-1 + 2 * (place % 2)}" for place in range(1, 257))
        lines = "".join(f"{row % 10 + 1} {values}\n" for row in range(count))
        (tmp_path / file).write_bytes(bz2.compress(lines.encode()))
    module = opened("USPS", tmp_path)
    assert module.parts["train"].pixels.shape == (12, 1, 16, 16)
    assert module.parts["test"].labels.tolist() == [0, 1, 2, 3]
    assert module.parts["test"].pixels.unique().tolist() == [0, 255]


def test_stl10_is_read_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.STL10, "_check_integrity", lambda _: True)
    pixels = noise(20, 3, 96, 96)
    (tmp_path / "stl10_binary").mkdir()
    for part in ("train", "test"):
        (tmp_path / "stl10_binary" / f"{part}_X.bin").write_bytes(pixels.transpose(2, 3).numpy().tobytes())
        (tmp_path / "stl10_binary" / f"{part}_y.bin").write_bytes(bytes(row % 10 + 1 for row in range(20)))
    module = opened("STL10", tmp_path)
    assert torch.equal(module.parts["train"].pixels, pixels)
    assert module.parts["test"].labels.tolist() == [row % 10 for row in range(20)]
    assert (module.spec.size, module.class_names[9]) == (96, "truck")


def test_a_fifth_of_a_set_without_a_test_set_is_its_test_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.SEMEION, "_check_integrity", lambda _: True)
    bits = (noise(50, 256) > 127).int()
    hot = torch.eye(10, dtype=torch.int32).repeat(5, 1)
    np.savetxt(tmp_path / "semeion.data", torch.cat([bits, hot], 1).numpy(), fmt="%d")
    module = opened("SEMEION", tmp_path)
    assert torch.bincount(module.parts["test"].labels).tolist() == [1] * 10
    assert torch.bincount(module.parts["train"].labels).tolist() == [4] * 10
    said = "train: SEMEION has no test set: 20% of each class, by a hash of the images, is used"
    assert module.notes[0] == said


@needs_scipy
@pytest.mark.extra
def test_svhn_is_read_from_its_matrices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    monkeypatch.setattr(datasets.SVHN, "_check_integrity", lambda _: True)
    pixels = noise(20, 3, 32, 32)
    labels = np.array([row % 10 or 10 for row in range(20)], dtype=np.uint8)[:, None]  # 10 stands for 0
    for part in ("train", "test"):
        savemat(tmp_path / f"{part}_32x32.mat", {"X": pixels.permute(2, 3, 1, 0).numpy(), "y": labels})
    module = opened("SVHN", tmp_path)
    assert torch.equal(module.parts["train"].pixels, pixels)
    assert module.parts["test"].labels.tolist() == [row % 10 for row in range(20)]


# Refusals ------------------------------------------------------------------------------------------------------------


def refusal(**settings: Any) -> str:
    with pytest.raises(SettingError) as refused:
        TorchvisionByName(**settings).setup()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_every_set_is_one_of_torchvision() -> None:
    assert all(hasattr(datasets, name) for name in SOURCES)


def test_wrong_names_and_options_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "data.name=kmnist is not a set that is read here; did you mean KMNIST? choices:" in refusal(name="kmnist")
    assert refusal(name="CIFAR10") == "data.name=CIFAR10 is not a set that is read here; use data=cifar10"
    assert refusal(name="EMNIST", options={"split": "leters"}).startswith(
        "data.name=EMNIST needs data.options={split: NAME}; did you mean letters? choices: balanced,"
    )
    assert "data.options.spilt is not an option of data.name=EMNIST; did you mean split?" in refusal(
        name="EMNIST", options={"spilt": "letters"}
    )
    assert refusal(name="KMNIST", options={"train": True}) == (
        "data.options.train is not an option of data.name=KMNIST; leave it out"
    )
    monkeypatch.setattr(torchvision_by_name, "find_spec", lambda _: None)
    assert refusal(name="SVHN").startswith("data.name=SVHN: scipy, which reads its files, is not installed: make setup")


def test_what_cannot_be_had_is_refused(tmp_path: Path) -> None:
    assert refusal(name="KMNIST", root=str(tmp_path)) == (
        f"data.name=KMNIST: torchvision can neither read it from {tmp_path} nor download it (Error downloading"
        " train-images-idx3-ubyte.gz:): check data.options, or name another folder with data.root=FOLDER"
    )
    assert "(no network here)" in refusal(name="EuroSAT", root=str(tmp_path))
    (tmp_path / "KMNIST" / "raw").rmdir()
    write_mnist(tmp_path / "KMNIST" / "raw", TRAIN, TEST)
    file = tmp_path / "KMNIST" / "raw" / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])
    assert "(shape '[20, 28, 28]' is invalid for input of size 15580)" in refusal(name="KMNIST", root=str(tmp_path))
