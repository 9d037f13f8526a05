"""Images per second of each transform of `data.augment`, beside kornia and torchvision.

    pip install kornia
    python tools/measure_augmentation.py --threads 1

Each contender starts from a batch of uint8 images and ends with normalized float images, and draws other random numbers
for each image. kornia works on the batch, torchvision on one image at a time. Prints a Markdown table: images per
second of the fastest of several interleaved rounds.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from labbook.data.augment.basic import Draw
from labbook.data.augment.parsing import parse_transforms
from labbook.data.batches import augment_and_normalize
from labbook.data.image_spec import ImageSpec
from labbook.data.loader import Batch
from labbook.training.fast_lightning import reuse_freed_memory

Augment = Callable[[Tensor], Tensor]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHAPES = ((128, 32), (32, 224))  # images of a batch, pixels of a side


def contenders(size: int) -> dict[str, tuple[Any, nn.Module | None, Callable[[Tensor], Tensor]]]:
    """For each transform: the setting, and kornia's (if it has it) and torchvision's with the same options."""
    import kornia.augmentation as kornia

    linear = v2.InterpolationMode.BILINEAR
    jitter = dict.fromkeys(("brightness", "contrast", "saturation"), 0.4) | {"hue": 0.1}
    blur = v2.RandomApply([v2.GaussianBlur(5, (0.1, 2.0))], 0.5)
    return {
        "flip": ("flip", kornia.RandomHorizontalFlip(), v2.RandomHorizontalFlip()),
        "crop": ({"crop": 4}, kornia.RandomCrop((size, size), padding=4), v2.RandomCrop(size, padding=4)),
        "random_resized_crop": (
            "random_resized_crop", kornia.RandomResizedCrop((size, size)), v2.RandomResizedCrop(size, antialias=False),
        ),
        "rotation": ({"rotation": 15}, kornia.RandomRotation(15.0, p=1.0), v2.RandomRotation(15, linear)),
        "perspective": ("perspective", kornia.RandomPerspective(0.5, p=0.5), v2.RandomPerspective(0.5, 0.5)),
        "erasing": ({"erasing": 0.25}, kornia.RandomErasing(p=0.25), v2.RandomErasing(0.25)),
        "color_jitter": ({"color_jitter": jitter}, kornia.ColorJitter(**jitter, p=1.0), v2.ColorJitter(**jitter)),
        "grayscale": ({"grayscale": 0.1}, kornia.RandomGrayscale(p=0.1), v2.RandomGrayscale(0.1)),
        "blur": ("blur", kornia.RandomGaussianBlur((5, 5), (0.1, 2.0), p=0.5), blur),
        "trivial_augment": ("trivial_augment", kornia.auto.TrivialAugment(), v2.TrivialAugmentWide()),
        "rand_augment": ("rand_augment", kornia.auto.RandAugment(2, 9), v2.RandAugment(2, 9)),
        "auto_augment": ("auto_augment", kornia.auto.AutoAugment("imagenet"), v2.AutoAugment()),
    }  # fmt: skip


def ours(setting: Any, size: int) -> Augment:
    spec = ImageSpec(3, size, ("a", "b"), MEAN, STD)
    transforms = parse_transforms([setting], size)
    random = torch.Generator().manual_seed(0)

    def augment(images: Tensor) -> Tensor:
        rows = torch.arange(len(images))
        batch = Batch(images, rows, rows, training=True, epoch=0, step=0, weight=1.0)
        draw = Draw(random, rows, 0, 0, size)
        return augment_and_normalize(batch, transforms, draw, spec.normalize, layout(size), size).images

    return augment


def layout(size: int) -> torch.memory_format:
    """That of images in a training: photographs are stored channels-last."""
    return torch.channels_last if size > 64 else torch.contiguous_format


def normalized(images: Tensor) -> Tensor:
    """Of images from 0 to 1."""
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (MEAN, STD))
    return (images - mean) / std


def measure(size: int, count: int, names: list[str], rounds: int, seconds: float) -> None:
    images = torch.randint(256, (count, 3, size, size), dtype=torch.uint8)
    print(f"| {count} x 3 x {size} x {size} | Labbook | kornia | torchvision | / kornia | / torchvision |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, (setting, whole, single) in contenders(size).items():
        if names and name not in names:
            continue

        def of_kornia(images: Tensor, whole: nn.Module | None = whole) -> Tensor:
            return normalized(whole(images.float() / 255))  # type: ignore[misc]

        def of_torchvision(images: Tensor, single: Callable[[Tensor], Tensor] = single) -> Tensor:
            return normalized(torch.stack([single(image) for image in images]).float() / 255)

        ways = {ours(setting, size): images.contiguous(memory_format=layout(size)), of_kornia: images,
                of_torchvision: images}  # fmt: skip
        speeds = [fastest_each(each, given, seconds) for _ in range(rounds) for each, given in ways.items()]
        best = [max(speeds[place::3]) for place in range(3)]
        figures = [f"{value:,.0f}" for value in best] + [f"{best[0] / value:.2f}" for value in best[1:]]
        print(f"| `{name}` | {' | '.join(figures)} |", flush=True)


def fastest_each(augment: Augment, images: Tensor, seconds: float) -> float:
    """Images per second of the fastest call within some seconds."""
    augment(images)
    first, least = time.perf_counter(), float("inf")
    while time.perf_counter() < first + seconds:
        start = time.perf_counter()
        augment(images)
        least = min(least, time.perf_counter() - start)
    return len(images) / least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each contender in each round")
    parser.add_argument("names", nargs="*", help="of transforms; default: all")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    reuse_freed_memory()  # as in a training
    torch.manual_seed(0)
    for count, size in SHAPES:
        print(f"\n{given.threads} threads, torch {torch.__version__}\n")
        measure(size, count, given.names, given.rounds, given.seconds)


if __name__ == "__main__":
    main()
