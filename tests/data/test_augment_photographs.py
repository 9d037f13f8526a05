"""Augmentation for photographs against torchvision: each operation on each image, and what is drawn."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import AutoAugmentPolicy, InterpolationMode, v2
from torchvision.transforms.v2 import functional as reference

from labbook.data.augment import PRESETS, TRANSFORMS, Draw, Transform, color, geometry, parse_transforms, policies
from labbook.data.augment.photographs import Blur, ColorJitter, Grayscale, Perspective, RandomResizedCrop
from labbook.data.augment.policies import COLORS, OPERATIONS, AutoAugment, RandAugment, TrivialAugment
from labbook.errors import SettingError
from tests.cases import each_case
from tests.data.samples import noise

HEIGHT, WIDTH = 17, 24
PHOTOGRAPHIC = [
    RandomResizedCrop(), ColorJitter(hue=0.1), Grayscale(0.5), Blur(0.8), Perspective(0.8),
    AutoAugment(), RandAugment(), TrivialAugment(),
]  # fmt: skip
EACH = pytest.mark.parametrize("transform", PHOTOGRAPHIC, ids=lambda item: type(item).__name__)


def draws(seed: int = 0, count: int = 5000, size: int = 0) -> Draw:
    return Draw(torch.Generator().manual_seed(seed), torch.arange(count), 0, seed, size)


def of_torchvision(name: str, image: Tensor, amount: float) -> Tensor:
    """One operation of AutoAugment on one image, uint8 [C, H, W]."""
    sheared = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "center": [0, 0]}
    moved = {"angle": 0.0, "scale": 1.0, "shear": [0.0, 0.0]}
    degrees = math.degrees(math.atan(amount))
    operations: dict[str, Callable[[], Tensor]] = {
        "Identity": lambda: image,
        "ShearX": lambda: reference.affine(image, shear=[degrees, 0.0], **sheared),
        "ShearY": lambda: reference.affine(image, shear=[0.0, degrees], **sheared),
        "TranslateX": lambda: reference.affine(image, translate=[int(amount), 0], **moved),
        "TranslateY": lambda: reference.affine(image, translate=[0, int(amount)], **moved),
        "Rotate": lambda: reference.rotate(image, amount),
        "Brightness": lambda: reference.adjust_brightness(image, 1 + amount),
        "Color": lambda: reference.adjust_saturation(image, 1 + amount),
        "Contrast": lambda: reference.adjust_contrast(image, 1 + amount),
        "Sharpness": lambda: reference.adjust_sharpness(image, 1 + amount),
        "Posterize": lambda: reference.posterize(image, 8 - round(amount)),
        "Solarize": lambda: reference.solarize(image, 255 * (1 - amount)),
        "AutoContrast": lambda: reference.autocontrast(image),
        "Equalize": lambda: reference.equalize(image),
        "Invert": lambda: reference.invert(image),
    }
    return operations[name]()


AMOUNTS = {
    "Rotate": (-130.0, -7.0, 0.0, 30.0, 100.0),
    "TranslateX": (-31.0, -1.9, 0.0, 3.7, 8.0),
    "TranslateY": (-31.0, -1.9, 0.0, 3.7, 8.0),
    "Posterize": (0.0, 1.2, 3.0, 4.0, 6.0),
    "Solarize": (0.0, 0.2, 0.5, 0.9, 1.0),
}


@each_case("channels", [1, 3])
@each_case("name", OPERATIONS)
def test_each_operation_is_torchvisions_on_each_image(name: str, channels: int) -> None:
    images = noise(5, channels, HEIGHT, WIDTH)
    images[1] = images[1] // 3 + 40  # a dull one, and one of a single shade
    images[2] = 90
    amounts = AMOUNTS.get(name, (-0.9, -0.25, 0.0, 0.4, 0.99))
    found = policies.apply_operations(images, torch.full((5,), OPERATIONS.index(name)), torch.tensor(amounts))
    expected = torch.stack([of_torchvision(name, *each) for each in zip(images, amounts, strict=True)]).float()
    # torchvision rounds down to whole shades, also in between.
    tolerance = 2 if name in COLORS and name not in ("Posterize", "Solarize", "Equalize", "Invert") else 0
    assert (found - expected).abs().max() <= tolerance


def test_a_batch_of_mixed_operations_is_that_of_each_alone() -> None:
    count = len(OPERATIONS)
    images, chosen, amounts = noise(count, 3, 9, 9), torch.arange(count), torch.linspace(0.1, 0.9, count)
    together = policies.apply_operations(images, chosen, amounts)
    alone = [
        policies.apply_operations(images[row : row + 1], chosen[row : row + 1], amounts[row : row + 1])
        for row in range(count)
    ]
    torch.testing.assert_close(together, torch.cat(alone))


def test_hue_and_blur_are_torchvisions() -> None:
    images, shifts, sigmas = noise(6, 3, HEIGHT, WIDTH).float(), torch.rand(6) - 0.5, torch.rand(6) * 2 + 0.1
    hues = [reference.adjust_hue(image / 255, float(each)) * 255 for image, each in zip(images, shifts, strict=True)]
    torch.testing.assert_close(color.hue(images, shifts), torch.stack(hues), atol=0.01, rtol=0)
    blurred = [
        reference.gaussian_blur(image, [5, 5], [float(each)] * 2) for image, each in zip(images, sigmas, strict=True)
    ]
    torch.testing.assert_close(color.blur(images, sigmas, 5), torch.stack(blurred), atol=0.01, rtol=0)


def test_perspective_and_resized_crops_are_torchvisions() -> None:
    images = noise(6, 3, HEIGHT, WIDTH)
    starts = torch.tensor([[0, 0], [WIDTH - 1, 0], [WIDTH - 1, HEIGHT - 1], [0, HEIGHT - 1]])
    ends = starts + torch.randint(-3, 4, (6, 4, 2))
    seen = [
        reference.perspective(image.float(), starts.tolist(), each.tolist(), InterpolationMode.BILINEAR)
        for image, each in zip(images, ends, strict=True)
    ]
    torch.testing.assert_close(geometry.perspective(images, ends), torch.stack(seen), atol=0.05, rtol=0)
    boxes = [(0, 0, 17, 24), (3, 4, 5, 6), (2, 1, 15, 20), (0, 0, 1, 1), (5, 5, 12, 19), (1, 3, 9, 3)]
    cut = [reference.resized_crop(image, *box, [16, 16]) for image, box in zip(images, boxes, strict=True)]
    assert torch.equal(geometry.resized_crops(images, boxes, 16), torch.stack(cut))


def assert_same_distribution(ours: Tensor, theirs: Tensor) -> None:
    """Two samples (float [n]) by the distance of Kolmogorov and Smirnov, which 1 of 10,000 equal pairs would exceed."""
    places = torch.cat([ours, theirs]).unique()
    shares = [torch.searchsorted(sample.sort().values, places, right=True) / len(sample) for sample in (ours, theirs)]
    limit = math.sqrt(-math.log(1e-4 / 2) / 2 * (1 / len(ours) + 1 / len(theirs)))
    assert (shares[0] - shares[1]).abs().max() < limit


@pytest.mark.parametrize("shape", [(32, 32), (20, 60)])
def test_boxes_are_drawn_as_torchvision_draws_them(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    image = torch.zeros(3, *shape, dtype=torch.uint8)
    drawn = [v2.RandomResizedCrop(8).make_params([image]) for _ in range(800)]
    theirs = torch.tensor([[box[side] for side in ("top", "left", "height", "width")] for box in drawn])
    ours = torch.tensor(RandomResizedCrop().boxes(image.expand(3000, -1, -1, -1), draws()))
    for column in range(4):
        assert_same_distribution(ours[:, column].float(), theirs[:, column].float())


def statistics(images: Tensor) -> Tensor:
    """Numbers that tell what happened to an image of one shade left and another right: [n, 4]."""
    images = images.float()
    return torch.stack([images[:, 0, 4, 4], images[:, 1, 12, 12], images.mean((1, 2, 3)), images[:, 2, 2, 13]], 1)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (TrivialAugment(), v2.TrivialAugmentWide()),
        (RandAugment(), v2.RandAugment()),
        *[(AutoAugment(policy.value), v2.AutoAugment(policy)) for policy in AutoAugmentPolicy],  # type: ignore[arg-type]
        (ColorJitter(0.4, 0.3, 0.2, 0.1), v2.ColorJitter(0.4, 0.3, 0.2, 0.1)),
        (Grayscale(0.3), v2.RandomGrayscale(0.3)),
        (Blur(1.0), v2.GaussianBlur(5)),
        (Perspective(0.6, 0.4), v2.RandomPerspective(0.4, 0.6)),
    ],
    ids=lambda item: type(item).__name__,
)
def test_what_becomes_of_an_image_is_distributed_as_with_torchvision(ours: Transform, theirs: Any) -> None:
    torch.manual_seed(0)
    image = torch.zeros(3, 16, 16, dtype=torch.uint8)
    image[:, :, :8], image[:, :, 8:] = (
        torch.tensor([30, 90, 200]).view(3, 1, 1),
        torch.tensor([220, 40, 120]).view(3, 1, 1),
    )
    image[:, 5:9] //= 2
    expected = statistics(torch.stack([theirs(image) for _ in range(500)]))
    found = statistics(ours(image.expand(2000, -1, -1, -1), draws()).round())
    for column in range(4):
        # Shades in steps of 4: torchvision rounds down in between.
        assert_same_distribution((found[:, column] / 4 + 0.1).floor(), (expected[:, column] / 4 + 0.1).floor())


@EACH
def test_each_image_has_its_own_draw_which_alone_decides(transform: Transform) -> None:
    same = noise(1, 3, 16, 16).expand(64, -1, -1, -1)
    first = transform(same, draws(1, 64))
    assert len({tuple(image.flatten().tolist()) for image in first.float()}) >= (
        2 if isinstance(transform, Grayscale) else 12
    )
    assert torch.equal(transform(same, draws(1, 64)), first)
    assert not torch.equal(transform(same, draws(2, 64)), first)


@EACH
@each_case("shape", [(4, 1, 8, 8), (5, 3, 5, 9)])
@each_case("dtype", [torch.uint8, torch.float32])
def test_the_images_are_not_written_to_and_stay_in_range(
    transform: Transform, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    images = noise(*shape).to(dtype)
    before = images.clone()
    after = transform(images, draws(count=len(images)))
    assert torch.equal(images, before)
    assert after.shape[:2] == shape[:2]
    assert -0.01 <= after.min() <= after.max() <= 255.01


def test_boxes_become_the_size_that_the_network_sees() -> None:
    assert RandomResizedCrop()(noise(4, 3, 32, 32), draws(count=4, size=24)).shape == (4, 3, 24, 24)
    assert RandomResizedCrop()(noise(4, 3, 32, 32), draws(count=4)).shape == (4, 3, 32, 32)


def test_options_are_given_by_name_or_the_first_alone() -> None:
    given = parse_transforms(
        [{"color_jitter": {"hue": 0.1}}, {"random_resized_crop": {"scale": [0.2, 1]}}, {"blur": 1}], 32
    )
    assert given == (ColorJitter(hue=0.1), RandomResizedCrop((0.2, 1)), Blur(1))
    assert parse_transforms([{"auto_augment": "svhn"}, "trivial_augment"], 32) == (
        AutoAugment("svhn"),
        TrivialAugment(),
    )


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("mirrored", [True, False])
def test_presets_are_lists_of_transforms_that_mirror_nothing_that_must_not_be(name: str, mirrored: bool) -> None:
    transforms = parse_transforms(name, 28, mirrored)
    assert len(transforms) == len(PRESETS[name][mirrored])
    assert mirrored or TRANSFORMS["flip"] not in map(type, transforms)


@each_case(
    ("setting", "sentence"),
    [
        ({"blur": {"sigmas": 2}}, "blur has no option sigmas; did you mean sigma? choices: kernel, probability, sigma"),
        ({"blur": {"sigma": 2}}, "blur takes two numbers, [LEAST, MOST] for sigma, not 2"),
        (
            {"blur": {"sigma": [2, 1]}},
            "blur takes sigma of two numbers from 0.01 to 100, the smaller first, not [2, 1]",
        ),
        ({"blur": {"kernel": 4}}, "blur takes an odd kernel of at least 1 pixel, not 4"),
        ({"blur": {"kernel": 17}}, "blur takes a kernel of less than twice the images' 8 pixels, not 17"),
        ({"color_jitter": 2}, "color_jitter takes brightness from 0 to 1, not 2"),
        ({"color_jitter": True}, "color_jitter takes a number for brightness, not True"),
        ({"rand_augment": 31}, "rand_augment takes a magnitude from 0 to 30 and at least 1 operation, not 31 and 2"),
        ({"rand_augment": 2.5}, "rand_augment takes a whole number for magnitude, not 2.5"),
        ({"auto_augment": "coco"}, "auto_augment takes imagenet, cifar10, svhn, not coco"),
        ({"perspective": {"distortion": 2}}, "perspective takes a distortion from 0 to 1, not 2"),
        ({"random_resized_crop": 0.5}, "random_resized_crop takes two numbers, [LEAST, MOST] for scale, not 0.5"),
        ({"trivial_augment": 3}, "trivial_augment takes no amount, not 3"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_refused(setting: Any, sentence: str) -> None:
    with pytest.raises(SettingError) as refusal:
        parse_transforms([setting], 8)
    assert str(refusal.value) == f"data.augment: {sentence}"


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(SettingError, match=r"data.augment=heavy is unknown: use none, light, strong, or a list"):
        parse_transforms("heavy", 8)
