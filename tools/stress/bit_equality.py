"""Whether two runs ended in the same state, to the bit, and whether what a folder holds is whole."""

import csv
import io
import json
import logging
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from PIL import Image
from torch import Tensor

from labbook.errors import SettingError
from labbook.runs.run_folder import CONFIG, METRICS, TABLE
from labbook.training import checkpoint_io

# What two runs that computed the same may differ in: time, and how often each was begun.
TIMES = ("second", "unfinished")
HISTORY = ("resumed", "code_version", "status", "hardware")
LOOPS = "loops"  # Lightning counts restarts in them; where the run stands is in epoch and global_step too


def differences(one: Path, other: Path) -> list[str]:
    """Names of what two finished runs differ in: checkpoints, tables, final figures, steps of the events."""
    found: list[str] = []
    for read in (read_checkpoint_of("last"), read_checkpoint_of("best"), read_table, read_figures, read_events):
        found += differing(read(one), read(other))
    return found


def differing(one: Any, other: Any, name: str = "") -> Iterator[str]:
    """The dotted names at which two trees of plain data and tensors are not the same bits."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}, key=str):
            inner = f"{name}.{key}" if name else str(key)
            if key not in one or key not in other:
                yield f"{inner} (missing in the {'first' if key not in one else 'second'})"
            else:
                yield from differing(one[key], other[key], inner)
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        for index, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from differing(first, second, f"{name}[{index}]")
    elif not same(one, other):
        yield name


def same(one: Any, other: Any) -> bool:
    """Whether two leaves are the same bits; nan is itself, and -0.0 is not 0.0."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        alike = one.dtype == other.dtype and one.shape == other.shape
        return alike and one.numpy().tobytes() == other.numpy().tobytes()
    if isinstance(one, float) and isinstance(other, float):
        return one.hex() == other.hex()
    return type(one) is type(other) and bool(one == other)


def timeless(tree: Any) -> Any:
    """A tree without what depends on the time."""
    if isinstance(tree, dict):
        return {key: timeless(value) for key, value in tree.items() if not any(word in str(key) for word in TIMES)}
    if isinstance(tree, list):
        return [timeless(value) for value in tree]
    return tree


def read_checkpoint_of(name: str) -> Any:
    """A reader of a run's checkpoint of that name: weights, optimizer, schedule, callbacks, random state."""

    def read(run: Path) -> dict[str, Any]:
        path = run / "checkpoints" / f"{name}.ckpt"
        if not path.exists():  # a run that chooses nothing has no best
            return {}
        content = checkpoint_io.load_checkpoint_file(path)
        return {f"{name}.ckpt": timeless({key: value for key, value in content.items() if key != LOOPS})}

    return read


def read_table(run: Path) -> dict[str, Any]:
    """The rows of metrics.csv."""
    with (run / TABLE).open(encoding="utf-8") as file:
        return {TABLE: timeless(list(csv.DictReader(file)))}


def read_figures(run: Path) -> dict[str, Any]:
    """The figures of metrics.json."""
    content = json.loads((run / METRICS).read_text(encoding="utf-8"))
    return {METRICS: timeless({key: value for key, value in content.items() if key not in HISTORY})}


def read_events(run: Path) -> dict[str, Any]:
    """The steps of every scalar and picture that TensorBoard shows of a run, in its order; of texts the names."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it tells of steps that a restart made invalid
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0}).Reload()
    tags = events.Tags()
    shown = {tag: [event.step for event in events.Scalars(tag)] for tag in tags["scalars"]}
    shown |= {tag: [event.step for event in events.Images(tag)] for tag in tags["images"]}
    shown |= {tag: [] for tag in tags["tensors"]}  # the accumulator never takes back texts of before a restart
    return {"events": shown}


def unreadable(run: Path) -> list[str]:
    """The checkpoints of a run, as their names show them, that are not whole."""
    return [path.name for path in visible(run) if not whole(path)]


def visible(run: Path) -> list[Path]:
    """The checkpoints that a run shows; a name that begins with a dot says that a file is unfinished."""
    return sorted(path for path in (run / "checkpoints").glob("*.ckpt") if not path.name.startswith("."))


def whole(path: Path) -> bool:
    """Whether a checkpoint can be loaded, and every byte in it is what was written."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        checkpoint_io.load_checkpoint_file(path)
    except (SettingError, zipfile.BadZipFile, OSError):
        return False
    return damaged is None


def newest_step(run: Path) -> int:
    """The furthest step that a run can go on from; -1 where there is nothing."""
    contents = [checkpoint_io.load_checkpoint_file(path) for path in visible(run) if whole(path)]
    return max((int(content["global_step"]) for content in contents if "optimizer_states" in content), default=-1)


def halves(run: Path) -> list[str]:
    """The files of a run that have their final name and not their whole content."""
    readers: dict[str, Callable[[str], Any]] = {CONFIG: yaml.safe_load, METRICS: json.loads, TABLE: rectangular}
    found = unreadable(run)
    for name, read in readers.items():
        path = run / name
        try:
            if path.exists() and not read(path.read_text(encoding="utf-8")):
                found.append(name)
        except (ValueError, yaml.YAMLError):
            found.append(name)
    for path in sorted((run / "figures").glob("[!.]*")):
        try:
            with Image.open(path) as picture:
                picture.load()
        except OSError:
            found.append(path.name)
    return found


def rectangular(text: str) -> bool:
    """Whether a table ends with the end of a row and all rows have as many columns."""
    return text.endswith("\n") and len({len(row) for row in csv.reader(io.StringIO(text))}) == 1
