"""What photographs cost: decoding them once into the cache, and reading them from there in every epoch."""

import itertools
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image

from labbook.config.compose import compose_config
from labbook.data.decoding import Decoding
from labbook.data.image_cache import Labelled, cached_images, decode_all
from labbook.fit import apply_channels_last
from labbook.trainer import configure_backends
from tools.benchmark.bare_loop import Bare
from tools.benchmark.cases import prepared, scratch
from tools.benchmark.sections import Section

SIZE = 256  # pixels, to which they are resized
BATCH = 128
COUNT = 640  # photographs
SHOT = (500, 375)  # pixels, width and height, of a photograph


def take(folder: Path, count: int) -> list[Labelled]:
    """Save photographs of nothing, of two classes; smooth, so that their files are as large as real ones."""
    random = torch.Generator().manual_seed(0)
    files = []
    for number in range(count):
        path = folder / ("cats", "dogs")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = torch.rand(1, 3, SHOT[1] // 4, SHOT[0] // 4, generator=random)
        fine = F.interpolate(coarse, (SHOT[1], SHOT[0]), mode="bicubic").clamp(0, 1)[0]
        Image.fromarray((255 * fine).byte().permute(1, 2, 0).numpy()).save(path, quality=85)
        files.append(Labelled(path, number % 2))
    return files


def building(repetitions: int, count: int = COUNT) -> Section:
    """How fast the cache is made, beside decoding alone on all cores."""
    decoding, making = [], []
    with scratch() as folder:
        files = take(folder / "photographs", count)
        for repetition in range(repetitions + 1):
            started = time.perf_counter()
            for _ in decode_all([file.path for file in files], Decoding(SIZE, 3)):
                pass
            decoded = time.perf_counter()
            cached_images(files, Decoding(SIZE, 3), folder / f"cache{repetition}", "photographs")
            if repetition > 0:
                decoding.append(decoded - started)
                making.append(time.perf_counter() - decoded)
    ratio = statistics.median(alone / both for alone, both in zip(decoding, making, strict=True))
    rows = [
        ("decoding on all cores", f"{count / statistics.median(decoding):,.0f}", "1.00"),
        ("making the cache", f"{count / statistics.median(making):,.0f}", f"{ratio:.2f}"),
    ]
    note = (
        f"{count} JPEGs of {SHOT[0]} x {SHOT[1]} pixels to {SIZE} x {SIZE}; the cache is written and flushed to disk."
    )
    return Section("Photographs, once", ("", "images/s", "pace / decoding"), rows, note)


def second_epoch(precision: str, steps: int = 4) -> Section:
    """What an epoch after the first spends on data, beside the steps of the cats-and-dogs network."""
    with scratch() as folder:
        take(folder / "photographs", (steps + 1) * BATCH)
        take(folder / "others", 2)
        both = ["data.train_folder=photographs", "data.test_folder=others", "data.val_fraction=0"]
        augmented = ["data.normalize=unit", "data.augment=[flip,{rotation: 2}]"]
        where = [f"data.root={folder}", f"data.cache_dir={folder / 'cache'}", f"data.image_size={SIZE}"]
        chosen = ["data=image_folder", "model=cats_dogs_cnn", f"data.batch_size={BATCH}", "trainer=cpu"]
        config = compose_config(*chosen, *where, *both, *augmented, f"trainer.precision={precision}")
        choice, data, model = prepared(config)
        configure_backends(config, choice)
        apply_channels_last(model, data, choice.channels_last)
        loop = Bare(model, choice)
        loader = data.train_dataloader()
        for _ in loader:  # the first epoch: the file comes into the system's memory
            pass
        loader.set_epoch(1)
        seconds: dict[str, list[float]] = {"reading": [], "augmenting and normalising": [], "the network's step": []}
        batches = iter(loader)
        for _ in range(len(loader)):
            times = [time.perf_counter()]
            batch = next(batches)
            times.append(time.perf_counter())
            images, labels = data.on_after_batch_transfer(batch, 0)[:2]
            times.append(time.perf_counter())
            loop.step(images, labels)
            times.append(time.perf_counter())
            for part, (start, end) in zip(seconds.values(), itertools.pairwise(times), strict=True):
                part.append(end - start)
    medians = {name: statistics.median(found[1:]) for name, found in seconds.items()}
    whole = sum(medians.values())
    rows = [(name, f"{1000 * median:,.1f}", f"{median / whole:.1%}") for name, median in medians.items()]
    note = (
        f"Batches of {BATCH}, turned and flipped as in lab D; medians of {steps} steps after one that does not count."
    )
    return Section("Photographs, in every epoch after the first", ("", "ms for a batch", "share"), rows, note)
