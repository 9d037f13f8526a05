"""Augmented photographs per second, by Labbook and by torchvision with a DataLoader."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from labbook.config.compose import compose_config
from tools.benchmark.cases import prepared, scratch
from tools.benchmark.image_folder import take
from tools.benchmark.sections import Section, say

SIZE, BATCH, COUNT = 224, 32, 640  # pixels; images of a batch; photographs
WORKERS = 2  # of torchvision's loader
LINEAR = v2.InterpolationMode.BILINEAR
Epoch = Callable[[], float]  # seconds of one pass over all photographs


def recipes(size: int) -> dict[str, tuple[list[Any], list[Any]]]:
    """Values of data.augment, and torchvision's transforms with the same options."""
    resize, flip = v2.Resize((size, size)), v2.RandomHorizontalFlip()
    pad = size // 14
    return {
        "flip, rotation": (["flip", {"rotation": 2}], [resize, flip, v2.RandomRotation(2, LINEAR)]),
        "flip, crop": (["flip", {"crop": pad}], [resize, flip, v2.RandomCrop(size, padding=pad)]),
        "random_resized_crop, flip, trivial_augment": (
            ["random_resized_crop", "flip", "trivial_augment"],
            [v2.RandomResizedCrop(size), flip, v2.TrivialAugmentWide()],
        ),
    }


def of_labbook(folder: Path, augment: list[Any]) -> Epoch:
    """The training images as the network gets them."""
    where = [f"data.root={folder}", f"data.cache_dir={folder / 'cache'}", f"data.image_size={SIZE}"]
    parts = ["data.train_folder=photographs", "data.test_folder=others", "data.val_fraction=0"]
    config = compose_config("data=image_folder", f"data.batch_size={BATCH}", "trainer=cpu", *where, *parts)
    config.data.augment = augment
    _, data, _ = prepared(config)

    def epoch() -> float:
        started = time.perf_counter()
        for batch in data.train_dataloader():
            data.on_after_batch_transfer(batch, 0)
        return time.perf_counter() - started

    return epoch


def of_torchvision(folder: Path, transforms: list[Any]) -> Epoch:
    """The same photographs by ImageFolder, decoded in each epoch, with worker processes that persist."""
    last = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5,) * 3, (0.25,) * 3)]
    images = ImageFolder(str(folder / "photographs"), v2.Compose([*transforms, *last]))
    loader = DataLoader(images, BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=WORKERS > 0)

    def epoch() -> float:
        started = time.perf_counter()
        for _ in loader:
            pass
        return time.perf_counter() - started

    return epoch


def section(repetitions: int, count: int = COUNT) -> Section:
    """A row for each recipe; both take turns, after an epoch that does not count."""
    rows = []
    with scratch() as folder:
        take(folder / "photographs", count)
        take(folder / "others", 2)
        for name, (ours, theirs) in recipes(SIZE).items():
            say(name)
            ways = (of_labbook(folder, ours), of_torchvision(folder, theirs))
            rounds = [[epoch() for epoch in ways] for _ in range(repetitions + 1)][1:]
            labbook, torchvision = (count / statistics.median(each) for each in zip(*rounds, strict=True))
            ratio = statistics.median(theirs / ours for ours, theirs in rounds)
            rows.append((name, f"{labbook:,.0f}", f"{torchvision:,.0f}", f"{ratio:.1f}"))
    note = (
        f"Images/s of {count} JPEGs at {SIZE} pixels, in batches of {BATCH}, normalized; medians of {repetitions}."
        f" Labbook reads decoded images from its cache. torchvision decodes them, with {WORKERS} worker processes."
    )
    return Section("Photographs, augmented", ("augmentation", "Labbook", "torchvision", "ratio"), rows, note)
