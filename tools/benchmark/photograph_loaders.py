"""Augmented photographs per second, alone and in a training, by Labbook and by a DataLoader of torchvision and timm."""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from labbook.config.compose import compose_config
from labbook.fit import apply_channels_last
from labbook.trainer import configure_backends
from tools.benchmark.bare_loop import Bare
from tools.benchmark.cases import prepared, scratch
from tools.benchmark.image_folder import take
from tools.benchmark.sections import Section, say

SIZE, BATCH, COUNT = 224, 32, 640  # pixels; images of a batch; photographs
STEPS = 6  # of a training, after one that does not count
WORKERS = 2  # of the other loaders
LINEAR = v2.InterpolationMode.BILINEAR
Batches = Callable[[], Iterable[tuple[Tensor, Tensor]]]  # images [n, 3, SIZE, SIZE] and labels of one epoch


@dataclass(frozen=True)
class Recipe:
    """The same augmentation in each library's own words."""

    labbook: list[Any]  # data.augment
    torchvision: list[Any]  # transforms
    timm: dict[str, Any] | None = None  # options of its create_loader; None: it has no such transform


def recipes(size: int) -> dict[str, Recipe]:
    """The augmentations that are timed. timm draws its one operation from RandAugment's list."""
    resize, flip = v2.Resize((size, size)), v2.RandomHorizontalFlip()
    pad = size // 14
    return {
        "flip, rotation": Recipe(["flip", {"rotation": 2}], [resize, flip, v2.RandomRotation(2, LINEAR)]),
        "flip, crop": Recipe(["flip", {"crop": pad}], [resize, flip, v2.RandomCrop(size, padding=pad)]),
        "random_resized_crop, flip, trivial_augment": Recipe(
            ["random_resized_crop", "flip", "trivial_augment"],
            [v2.RandomResizedCrop(size), flip, v2.TrivialAugmentWide()],
            {"auto_augment": "rand-m9-n1-mstd0.5", "color_jitter": 0},
        ),
    }


def of_labbook(folder: Path, augment: list[Any]) -> tuple[Batches, Bare]:
    """The training images as the network gets them, and ResNet-18 with the choices of a run."""
    where = [f"data.root={folder}", f"data.cache_dir={folder / 'cache'}", f"data.image_size={SIZE}"]
    parts = ["data.train_folder=photographs", "data.test_folder=others", "data.val_fraction=0"]
    more = ["model=resnet18", f"data.batch_size={BATCH}", "trainer=cpu"]
    config = compose_config("data=image_folder", *more, *where, *parts)
    config.data.augment = augment
    choice, data, model = prepared(config)
    configure_backends(config, choice)
    apply_channels_last(model, data, choice.channels_last)

    def batches() -> Iterable[tuple[Tensor, Tensor]]:
        return (data.on_after_batch_transfer(batch, 0)[:2] for batch in data.train_dataloader())

    return batches, Bare(model, choice)


def of_torchvision(folder: Path, transforms: list[Any]) -> Batches:
    """The same photographs by ImageFolder, decoded in each epoch, with worker processes that persist."""
    last = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5,) * 3, (0.25,) * 3)]
    images = ImageFolder(str(folder / "photographs"), v2.Compose([*transforms, *last]))
    loader = DataLoader(images, BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=WORKERS > 0)
    return lambda: loader


def of_timm(folder: Path, options: dict[str, Any]) -> Batches:
    """The same by the loader of timm's training script."""
    from timm.data import ImageDataset, create_loader

    images = ImageDataset(str(folder / "photographs"))
    loader = create_loader(
        images,
        SIZE,
        BATCH,
        is_training=True,
        num_workers=WORKERS,
        persistent_workers=WORKERS > 0,
        use_prefetcher=False,  # it is for a GPU
        **options,
    )
    return lambda: loader


def seconds(batches: Batches) -> float:
    """The time of one pass over all photographs."""
    started = time.perf_counter()
    for _ in batches():
        pass
    return time.perf_counter() - started


def section(repetitions: int, count: int = COUNT) -> Section:
    """A row for each augmentation; all ways take turns, after an epoch that does not count."""
    rows = []
    with scratch() as folder:
        take(folder / "photographs", count)
        take(folder / "others", 2)
        for name, recipe in recipes(SIZE).items():
            say(name)
            ways = [of_labbook(folder, recipe.labbook)[0], of_torchvision(folder, recipe.torchvision)]
            if recipe.timm is not None and find_spec("timm"):
                ways.append(of_timm(folder, recipe.timm))
            rounds = [[seconds(batches) for batches in ways] for _ in range(repetitions + 1)][1:]
            paces = [f"{count / statistics.median(each):,.0f}" for each in zip(*rounds, strict=True)]
            ratio = statistics.median(min(others) / ours for ours, *others in rounds)
            rows.append((name, *paces, *[""] * (3 - len(paces)), f"{ratio:.1f}"))
    note = (
        f"Images/s of {count} JPEGs at {SIZE} pixels, in batches of {BATCH}, normalized; medians of {repetitions}."
        f" Labbook reads decoded images from its cache. torchvision and timm decode them, with {WORKERS} worker"
        " processes. The ratio is to the faster of the two."
    )
    return Section("Photographs, augmented", ("augmentation", "Labbook", "torchvision", "timm", "ratio"), rows, note)


def train(batches: Batches, loop: Bare) -> tuple[float, float]:
    """Seconds of a step of the network, and the part of them that it waited for data; the first does not count."""
    waited, begun, clock = 0.0, 0.0, time.perf_counter()
    for step, (images, labels) in enumerate(batches()):
        waited += time.perf_counter() - clock
        loop.step(images, labels)
        clock = time.perf_counter()
        if step == 0:
            waited, begun = 0.0, clock
    return (clock - begun) / STEPS, waited / STEPS


def training(repetitions: int) -> Section:
    """The whole step of ResNet-18 with the last augmentation; all ways take turns with the same network."""
    with scratch() as folder:
        take(folder / "photographs", BATCH * (STEPS + 1))
        take(folder / "others", 2)
        *_, (name, recipe) = recipes(SIZE).items()
        say(f"ResNet-18 with {name}")
        ours, loop = of_labbook(folder, recipe.labbook)
        ways = {"Labbook": ours, "torchvision": of_torchvision(folder, recipe.torchvision)}
        if recipe.timm is not None and find_spec("timm"):
            ways["timm"] = of_timm(folder, recipe.timm)
        rounds = [[train(batches, loop) for batches in ways.values()] for _ in range(repetitions + 1)][1:]
    rows = []
    for way, found in zip(ways, zip(*rounds, strict=True), strict=True):
        step, waited = (statistics.median(each) for each in zip(*found, strict=True))
        rows.append((way, f"{BATCH / step:,.1f}", f"{1000 * waited:,.0f}", f"{waited / step:.1%}"))
    note = (
        f"ResNet-18, {SIZE} pixels, batches of {BATCH}, {name}; medians of {repetitions}. The step is the same minimal"
        f" loop for all. Worker processes of torchvision and timm take the same cores as the training."
    )
    return Section("Photographs, training", ("loader", "images/s", "ms of waiting", "share of the step"), rows, note)
