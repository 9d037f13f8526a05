"""CIFAR-10 and CIFAR-100 as modules."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import datasets

from labbook.data.cifar import CIFAR10, CIFAR100
from labbook.data.image_folder import ImageFolder
from labbook.errors import SettingError
from tests.data.mirror import offline
from tests.data.samples import REAL, images, needs, truncate, write_cifar

BOTH = pytest.mark.parametrize(
    ("kind", "official", "classes"), [(CIFAR10, datasets.CIFAR10, 10), (CIFAR100, datasets.CIFAR100, 100)]
)


@BOTH
def test_the_python_archives_are_read(
    kind: type[CIFAR10], official: Any, classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = images(200, 3, 32, classes, seed=1), images(100, 3, 32, classes, seed=2)
    write_cifar(official, tmp_path, train, test, monkeypatch)
    module = kind(root=str(tmp_path), val_fraction=0.1)
    module.setup()
    for read, written in zip((module.parts["train"], module.parts["test"]), (train, test), strict=True):
        assert torch.equal(read.pixels, written.pixels)
        assert torch.equal(read.labels, written.labels)
    assert (module.spec.channels, module.spec.size, module.spec.num_classes) == (3, 32, classes)
    assert [len(module.rows[split]) for split in ("train", "val", "test")] == [180, 20, 100]


@BOTH
def test_a_file_with_another_checksum_is_not_used(
    kind: type[CIFAR10], official: Any, classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar(official, tmp_path, images(20, 3, 32), images(10, 3, 32), monkeypatch)
    truncate(tmp_path / kind.folder / official.train_list[0][0], 0.9)
    monkeypatch.setattr(kind, "mirrors", ("https://one.invalid/",))
    offline(monkeypatch)
    with pytest.raises(SettingError) as refusal:
        kind(root=str(tmp_path)).prepare_data()
    assert str(refusal.value).startswith(
        f"{kind.dataset} is incomplete in {tmp_path / kind.folder} and could not be downloaded"
        f" ({official.filename} from one.invalid: its name cannot be resolved)"
    )
    (archive,) = kind.archives
    assert f"by hand: put {archive.name} (sha256 {archive.digest}) beside that folder" in str(refusal.value)


def test_classes_are_in_the_order_of_the_labels() -> None:
    assert CIFAR10.class_names == tuple(sorted(CIFAR10.class_names))
    assert CIFAR100.class_names == tuple(sorted(set(CIFAR100.class_names)))
    assert (len(CIFAR10.class_names), len(CIFAR100.class_names)) == (10, 100)


@needs("cifar10_jpeg")
@pytest.mark.slow
def test_the_figures_are_those_of_the_real_photographs(tmp_path: Path) -> None:
    """Of the set as JPEG files, whose compression moves them little."""
    module = ImageFolder(root=str(REAL / "cifar10_jpeg"), image_size=32, normalize="unit", cache_dir=str(tmp_path))
    module.setup()
    assert module.class_names == CIFAR10.class_names
    train, test = module.parts["train"], module.parts["test"]
    assert torch.bincount(train.labels).tolist() == [5000] * 10
    assert torch.bincount(test.labels).tolist() == [1000] * 10
    for channel in range(3):
        shades = train.pixels[:, channel].float() / 255
        assert float(shades.mean()) == pytest.approx(CIFAR10.mean[channel], abs=2e-3)
        assert float(shades.std()) == pytest.approx(CIFAR10.std[channel], abs=2e-3)
