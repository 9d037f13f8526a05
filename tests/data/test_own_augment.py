"""Augmentation by classes of the user's own, of torchvision and of kornia: a draw for each image, checked once."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mylab.augmentations import Noise
from torch import Tensor, nn
from torchvision.transforms import v2

from labbook.data import batches
from labbook.data.augment import Draw, parse_transforms
from labbook.data.augment.basic import Flip
from labbook.data.own_augment import OwnTransform
from labbook.errors import SettingError
from tests.data.samples import images, made, prepared

ROTATION = v2.RandomRotation(90)


def draws(seed: int = 0) -> Draw:
    return Draw(torch.Generator().manual_seed(seed), torch.arange(12), 0, 42)


class Careless:
    """Draws from everything that is global."""

    def __call__(self, images: Tensor, draw: Draw) -> Tensor:
        random_shift = torch.randint(0, 50, (1,)) + random.randrange(50) + np.random.randint(50)
        return ((images.float() + random_shift) / 2).clamp(0, 255)


@pytest.mark.parametrize("augmentation", [Noise(), Careless(), ROTATION], ids=lambda item: type(item).__name__)
def test_what_is_drawn_is_a_function_of_the_position(augmentation: Any) -> None:
    def epoch(number: int, start: int = 0) -> list[Tensor]:
        module = made(images(30), augment=["flip", augmentation], batch_size=8, val_fraction=0)
        loader = module.train_dataloader()
        loader.load_state_dict({"epoch": number, "step": start})
        return [prepared(module, batch) for batch in loader]

    whole, other = epoch(1), epoch(2)
    for one, same in zip(whole[2:], epoch(1, 2), strict=True):  # as a run that goes on within the epoch
        assert torch.equal(one, same)
    assert not torch.equal(whole[0], other[0])


@pytest.mark.parametrize("augmentation", [Careless(), ROTATION], ids=lambda item: type(item).__name__)
def test_what_draws_from_global_generators_changes_nothing_else(augmentation: Any) -> None:
    def after(*transforms: Any) -> list[float]:
        torch.manual_seed(3)
        np.random.seed(3)
        random.seed(3)
        for transform in transforms:
            transform(images(12).pixels, draws())
        return [torch.rand(()).item(), np.random.rand(), random.random()]

    assert after(OwnTransform(augmentation)) == after()


def test_an_error_leaves_the_global_generators_as_they_were() -> None:
    torch.manual_seed(3)
    expected = torch.rand(())
    torch.manual_seed(3)
    with pytest.raises(SettingError):
        OwnTransform(v2.Normalize([0.5], [0.5]))(images(12).pixels, draws())
    assert torch.equal(torch.rand(()), expected)


def test_each_image_has_a_draw_of_its_own() -> None:
    same = images(1, size=24).pixels.repeat(12, 1, 1, 1)
    for transform in (ROTATION, v2.RandomResizedCrop(24), v2.ColorJitter(brightness=0.9)):
        changed = OwnTransform(transform)(same, draws())
        assert changed.dtype == torch.uint8
        assert len({str(image.tolist()) for image in changed}) > 10
        assert (
            len({str(image.tolist()) for image in v2.functional.to_dtype(transform(same))}) == 1
        )  # as torchvision does


def test_torchvision_is_given_bytes_whatever_came_before() -> None:
    module = made(images(12), augment=[{"rotation": 30}, v2.ColorJitter(brightness=0.5)], val_fraction=0)
    batch = next(iter(module.train_dataloader()))
    spec = module.spec
    pixels = prepared(module, batch) * torch.tensor(spec.std).view(3, 1, 1) + torch.tensor(spec.mean).view(3, 1, 1)
    assert pixels.max() > 0.5  # floats of torchvision end at 1 of 255


def test_parts_of_a_large_batch_have_draws_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "AUGMENTED", 4 * 3 * 24**2)
    same = images(12, size=24)
    module = made(
        same._replace(pixels=same.pixels[:1].repeat(12, 1, 1, 1)), augment=[ROTATION], val_fraction=0, image_size=24
    )
    changed = prepared(module, next(iter(module.train_dataloader())))
    assert len({str(image.tolist()) for image in changed}) > 10


@pytest.fixture
def kornia() -> Callable[..., Any]:
    """What stands for kornia's classes, which take and give float images 0..1; each with a draw of its own or not."""

    def made(module: str = "kornia.augmentation._2d.intensity", shift: float = 0) -> Any:
        def forward(self: Any, images: Tensor) -> Tensor:
            assert 0 <= images.min() <= images.max() <= 1
            alike = "_2d" not in module
            return images * torch.rand(1 if alike else len(images), 1, 1, 1) + shift

        return type("RandomBrightness", (nn.Module,), {"forward": forward, "__module__": module})()

    return made


@pytest.mark.parametrize("module", ["kornia.augmentation._2d.intensity", "kornia.augmentation.auto.base"])
def test_kornia_takes_numbers_from_0_to_1_and_each_image_has_a_draw(kornia: Callable[..., Any], module: str) -> None:
    transform = OwnTransform(kornia(module))
    pixels = images(12).pixels
    changed = transform(pixels, draws())
    assert torch.equal(changed, transform(pixels, draws()))
    factors = changed.flatten(1).max(1).values / pixels.flatten(1).max(1).values
    assert len(set(factors.tolist())) == 12
    assert OwnTransform(kornia(shift=0.5))(pixels, draws()).max() == 255  # what overshoots is cut off
    with pytest.raises(SettingError, match=r"RandomBrightness must return pixels .* numbers from 510"):
        OwnTransform(kornia(shift=2))(pixels, draws())


def test_kornias_own_classes() -> None:
    augmentation = pytest.importorskip("kornia.augmentation")
    same = images(1, size=24).pixels.repeat(12, 1, 1, 1)
    chained = augmentation.ImageSequential(augmentation.RandomAffine(30.0, p=1.0))
    for transform in (augmentation.RandomAffine(30.0, p=1.0), chained, augmentation.auto.RandAugment(2, 5)):
        changed = OwnTransform(transform)(same, draws())
        assert len({str(image.tolist()) for image in changed}) > 6
        assert changed.max() > 100


@pytest.mark.parametrize("item", [v2.MixUp(num_classes=3), v2.CutMix(num_classes=3)], ids=["mixup", "cutmix"])
def test_what_mixes_labels_is_refused(item: Any) -> None:
    with pytest.raises(SettingError, match=r"also mixes labels: use task\.mixup or task\.cutmix$"):
        OwnTransform(item)


class Returns:
    """What a function makes of the images."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __call__(self, images: Tensor, draw: Draw) -> Any:
        return self.answer(images)


EXPECTED = "data.augment: {} must return pixels 0..255, uint8 or float [n, C, H, W], not"


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda images: None, "NoneType"),
        (lambda images: images.numpy(), "ndarray"),
        (lambda images: images[:, :1], "[12, 1, 6, 6] for [12, 3, 6, 6]"),
        (lambda images: images[:-1], "[11, 3, 6, 6] for [12, 3, 6, 6]"),
        (lambda images: images.int(), "int32"),
        (
            lambda images: images.float() - 1,
            "numbers from -1 to 254: clamp them, and leave normalisation to the program",
        ),
        (lambda images: images * float("nan"), "numbers from nan to nan: clamp them, and leave normalisation to"),
        (lambda images: images / 255, "numbers from 0 to 1: leave pixels as they are, or multiply by 255"),
    ],
)
def test_what_comes_back_is_checked_with_the_first_batch(answer: Any, complaint: str) -> None:
    transform = OwnTransform(Returns(answer))
    pixels = images(12).pixels
    pixels[0, 0, 0, :2] = torch.tensor([0, 255], dtype=torch.uint8)
    with pytest.raises(SettingError) as refusal:
        transform(pixels, draws())
    assert str(refusal.value).startswith(f"{EXPECTED.format('Returns')} {complaint}")
    later = OwnTransform(Returns(lambda images: images))
    later(pixels, draws())
    later.item.answer = answer
    later(pixels, draws())  # no batch but the first costs the look at its pixels


def test_what_fails_in_a_library_is_one_sentence_and_in_own_code_a_traceback() -> None:
    with pytest.raises(
        SettingError, match=r"^data\.augment: Normalize fails on a batch of images: Input tensor should"
    ):
        OwnTransform(v2.Normalize([0.5], [0.5]))(images(12).pixels, draws())
    with pytest.raises(RuntimeError, match=r"^mine$"):
        OwnTransform(Returns(lambda _: (_ for _ in ()).throw(RuntimeError("mine"))))(images(12).pixels, draws())


@pytest.mark.parametrize("item", [3, object(), lambda images: images, nn.Flatten()])
def test_what_cannot_be_called_with_a_batch_and_its_draw_is_refused(item: Any) -> None:
    with pytest.raises(SettingError) as refusal:
        parse_transforms([item], 8)
    assert str(refusal.value).startswith(f"data.augment: {type(item).__name__} must be callable with (images, draw): ")


def test_a_class_of_ours_is_taken_as_it_is() -> None:
    assert parse_transforms(["flip", Flip(0.2)], 8) == (Flip(), Flip(0.2))


def test_a_size_that_a_class_does_not_take_is_refused() -> None:
    class Large(Noise):
        def check_size(self, size: int) -> None:
            raise SettingError(f"not {size}")

    with pytest.raises(SettingError, match=r"^not 8$"):
        parse_transforms([Large()], 8)
