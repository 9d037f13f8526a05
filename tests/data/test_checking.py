"""A data set of the user's own that is not as it must be: each fault is one sentence that names the class."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from labbook.data.datamodule import ImageDataModule
from labbook.data.images import Images
from labbook.errors import SettingError
from tests.cases import each_case
from tests.data.samples import Made, first, images, made, noise

PIXELS, LABELS = noise(9, 3, 6, 6), torch.arange(9) % 3
GOOD = Images(PIXELS, LABELS)
IN_TRAINING = "Made.read: the training set"


def refused(train: Any = GOOD, test: Any = GOOD, **options: Any) -> str:
    """What is said of a set whose `read` returns these."""

    class Own(Made):
        def read(self) -> tuple[Images, Images]:
            return train, test

    Own.__name__ = "Made"
    with pytest.raises(SettingError) as refusal:
        Own(**options).setup()
    return str(refusal.value)


def of(**changed: Any) -> Images:
    return GOOD._replace(**changed)


MUST_BE = f"{IN_TRAINING} must have pixels uint8 [N, C, H, W], 0..255"


@each_case(
    ("pixels", "sentence"),
    [
        (PIXELS.float() / 255, f"{MUST_BE}, not float32 [9, 3, 6, 6]: write (255 * pixels).round().byte()"),
        (PIXELS.double(), f"{MUST_BE}, not float64 [9, 3, 6, 6]: write pixels.byte()"),
        (torch.full_like(PIXELS, 255).long(), f"{MUST_BE}, not int64 [9, 3, 6, 6]: write pixels.byte()"),
        (torch.full_like(PIXELS, 255).int() * 257, f"{MUST_BE}, not int32 [9, 3, 6, 6] from 6.554e+04 to 6.554e+04"),
        (torch.full(PIXELS.shape, float("nan")), f"{MUST_BE}, not float32 [9, 3, 6, 6] from nan to nan"),
        (PIXELS > 100, f"{MUST_BE}, not bool [9, 3, 6, 6]: write 255 * pixels.byte()"),
        (PIXELS.numpy(), f"{MUST_BE}, as a tensor, not ndarray: use torch.from_numpy"),
        ([1, 2], f"{MUST_BE}, as a tensor, not list"),
        (PIXELS[:, 0], f"{MUST_BE}, not uint8 [9, 6, 6]: write pixels.unsqueeze(1)"),
        (PIXELS.flatten(1), f"{MUST_BE}, not uint8 [9, 108]"),
        (PIXELS[:, :, :0], f"{MUST_BE}, not uint8 [9, 3, 0, 6]"),
        (
            PIXELS.permute(0, 2, 3, 1),
            f"{MUST_BE}, not uint8 [9, 6, 6, 3], with C 1 or 3: write pixels.permute(0, 3, 1, 2)",
        ),
        (noise(9, 4, 6, 6), f"{MUST_BE}, not uint8 [9, 4, 6, 6], with C 1 or 3"),
        (PIXELS % 2, f"{IN_TRAINING} must have pixels 0..255, and none is above 1: multiply by 255 before byte()"),
    ],
)
def test_pixels(pixels: Any, sentence: str) -> None:
    assert refused(of(pixels=pixels)) == sentence


PLACES = f"{IN_TRAINING} must have labels int64 [N], the index of each image's class in class_names"


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (LABELS.float(), f"{PLACES}, not float32 [9]"),
        (LABELS.unsqueeze(1), f"{PLACES}, not int64 [9, 1]"),
        (LABELS > 0, f"{PLACES}, not bool [9]"),
        (LABELS.numpy(), f"{PLACES}, as a tensor, not ndarray"),
        (list(range(9)), f"{PLACES}, as a tensor, not list"),
        (LABELS[:8], f"{IN_TRAINING} must have a label for each image, and has 9 images and 8 labels"),
        (LABELS + 1, f"{IN_TRAINING} must have labels 0..2, as class_names has 3 classes, not 3"),
        (LABELS - 1, f"{IN_TRAINING} must have labels 0..2, as class_names has 3 classes, not -1"),
    ],
)
def test_labels(labels: Any, sentence: str) -> None:
    assert refused(of(labels=labels)) == sentence


NAN = torch.full((9, 2), float("nan"))


@each_case(
    ("changed", "sentence"),
    [
        ({"extra": {"age": torch.zeros(8)}}, "must have extra['age'] as a tensor [9, ...] on the CPU, not float32 [8]"),
        ({"extra": {"age": 3}}, "must have extra['age'] as a tensor [9, ...] on the CPU, not int"),
        ({"extra": {"age": torch.zeros(())}}, "must have extra['age'] as a tensor [9, ...] on the CPU, not float32 []"),
        (
            {"extra": {"age": NAN}},
            "must have extra['age'] as a tensor [9, ...] on the CPU, all of finite numbers, and some are NaN or",
        ),
        ({"extra": {"an age": LABELS}}, "must have extra as a mapping of names to tensors, not {'an age': "),
        ({"extra": [LABELS]}, "must have extra as a mapping of names to tensors, not [tensor("),
        ({"files": ("a.png",)}, "must have files for each of 9 images, not 1"),
        ({"digests": ("a", "b")}, "must have digests for each of 9 images, not 2"),
        ({"validation": LABELS}, "must have validation bool [N] or None, not int64 [9]"),
        ({"validation": LABELS[:3] > 0}, "must have validation bool [N] or None, not bool [3]"),
    ],
)
def test_what_belongs_to_the_images(changed: dict[str, Any], sentence: str) -> None:
    assert refused(of(**changed)).startswith(f"{IN_TRAINING} {sentence}")


def test_both_parts_are_checked_and_must_not_be_empty() -> None:
    none = GOOD.at(torch.arange(0))
    assert refused(none, GOOD) == "Made.read: the training set has no image"
    assert refused(GOOD, none) == "Made.read: the test set has no image"
    assert refused(GOOD, of(labels=LABELS + 1)).startswith("Made.read: the test set must have labels 0..2")
    made(none, GOOD, only="test")
    assert refused(of(extra={"age": LABELS}), GOOD) == (
        "Made.read: extra must have the same names, types and shapes in the training set and the test set"
    )


@pytest.mark.parametrize(
    ("found", "given"),
    [
        ((PIXELS, LABELS), "Tensor and Tensor"),
        (GOOD, "Images"),
        (None, "NoneType"),
        ([GOOD, GOOD, GOOD], "Images and Images and Images"),
    ],
)
def test_read_returns_two_parts(found: Any, given: str) -> None:
    class Own(Made):
        def read(self) -> Any:
            return found

    with pytest.raises(SettingError) as refusal:
        Own().setup()
    assert str(refusal.value) == (f"Own.read must return two Images, the training set and the test set, not {given}")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_whole_numbers_of_any_type_are_labels(dtype: torch.dtype) -> None:
    module = made(of(labels=LABELS.to(dtype)))
    assert module.parts["train"].labels.dtype == torch.int64
    assert torch.equal(module.parts["train"].labels, LABELS)


def test_pixels_with_gaps_in_memory_are_copied() -> None:
    view = PIXELS.repeat_interleave(2, 3)[..., ::2]
    module = made(of(pixels=view), batch_size=9)
    assert module.parts["train"].pixels.is_contiguous()
    assert torch.equal(module.parts["train"].pixels, PIXELS)


def test_channels_last_pixels_are_used_as_they_are() -> None:
    last = PIXELS.contiguous(memory_format=torch.channels_last)
    module = made(of(pixels=last), batch_size=9)
    assert module.parts["train"].pixels.data_ptr() == last.data_ptr()
    batch = first(module.train_dataloader())
    assert torch.equal(batch.images, module.spec.normalize(PIXELS[batch.rows]))


FIGURES = "Own.mean and Own.std must be of pixels scaled to [0, 1], std above 0, not"


@each_case(
    ("attributes", "sentence"),
    [
        ({"class_names": ()}, "Own.class_names must be a tuple of names, one for each class, not ()"),
        ({"class_names": ["a", "b"]}, "Own.class_names must be a tuple of names, one for each class, not ['a', 'b']"),
        ({"class_names": "ab"}, "Own.class_names must be a tuple of names, one for each class, not 'ab'"),
        ({"class_names": (0, 1)}, "Own.class_names must be a tuple of names, one for each class, not (0, 1)"),
        ({"class_names": ("a",)}, "Own.class_names must have at least two classes, not 'a' alone"),
        ({"class_names": ("a", "b", "a")}, "Own.class_names must be different names, and 'a' occurs twice"),
        (
            {"native_size": 0},
            "Own.native_size must be the side of its images in pixels, or use data.image_size=N",
        ),
        ({"mean": (127.5,), "std": (64,)}, f"{FIGURES} (127.5,) and (64,)"),
        ({"mean": (0.5,), "std": (0,)}, f"{FIGURES} (0.5,) and (0,)"),
        ({"mean": 0.5, "std": 0.2}, "Own.mean and Own.std must be tuples of as many numbers, not 0.5 and 0.2"),
        ({"mean": (0.5,), "std": ()}, "Own.mean and Own.std must be tuples of as many numbers, not (0.5,) and ()"),
        ({"mean": ("a",), "std": (1,)}, "Own.mean and Own.std must be tuples of as many numbers, not ('a',) and (1,)"),
        ({"mean": (0.5, 0.5), "std": (1, 1)}, "Own.mean and Own.std must have 3 numbers, one a channel, not 2"),
    ],
)
def test_what_a_class_says_of_its_images(attributes: dict[str, Any], sentence: str) -> None:
    own: Callable[[], ImageDataModule] = type("Own", (Made,), attributes)
    with pytest.raises(SettingError) as refusal:
        own()
    assert str(refusal.value) == sentence


def test_a_size_may_be_given_instead() -> None:
    assert type("Own", (Made,), {"native_size": 0})(image_size=5).spec.size == 5


def test_published_sets_are_not_searched_for_their_largest_pixel() -> None:
    made(Images(PIXELS % 2, LABELS, content="published"), images(9))
