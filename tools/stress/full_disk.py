"""A real file system that is full: the run ends in a sentence, and goes on once there is room."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.stress import bit_equality, processes
from tools.stress.forkserver import Fault
from tools.stress.io_faults import judged
from tools.stress.part import Effort, Outcome, table
from tools.stress.processes import Ended

SETTINGS = (*processes.ALIKE, "model=mlp", "model.width=64", "data.limit=300", "epochs=3")
STEPS = 5  # an epoch
SIZES = (1.0, 1.4, 1.8, 2.2, 2.6, 3.0)  # MiB of the file system, on which the run fails at another file each time
ROOM = "32m"
NOTE = (
    "An MLP with Adam trains for three epochs on a file system of {} to {} MiB in memory. It becomes full while"
    " checkpoints (0.6 MiB each), logs or plots are written. Then it gets more space, and the run is resumed."
)
SKIPPED = "Not tested: a file system of a few MiB could not be mounted (this needs root on Linux)."


def part(effort: Effort) -> Outcome:
    """A run on every size of disk."""
    over = effort.over()
    sizes = SIZES[: effort.count(len(SIZES), 2)]
    title = "A full disk"
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "alone"
        alone.mkdir()
        processes.run(*SETTINGS, cwd=alone)
        end = processes.run_in(alone)
        assert end is not None, processes.said(alone)
        full, broken = 0, []
        for size in sizes:
            place = Path(folder) / f"disk-{size}"
            place.mkdir()
            with mounted(place, size) as there:
                if not there:
                    return Outcome(table(title, {}, SKIPPED))
                failed, found = filled(place, size, end)
            full += failed
            broken += found
            if over():
                break
    figures: dict[str, object] = {"full disks": full, "guarantees broken": len(broken)}
    return Outcome(table(title, figures, NOTE.format(sizes[0], sizes[-1])), broken)


@contextmanager
def mounted(place: Path, size: float) -> Iterator[bool]:
    """A file system of so many MiB in `place`; False where that is not possible."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={round(size * 1024)}k", "stress", str(place)]
    try:
        there = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        there = False
    try:
        yield there
    finally:
        if there:
            subprocess.run(["umount", str(place)], check=True)


def filled(place: Path, size: float, end: Path) -> tuple[bool, list[str]]:
    """Whether the disk was too small for a run, and what it did that it should not have done."""
    home = place.parent / f"home-{size}"
    home.mkdir()
    (home / "logs").symlink_to(place)
    code = processes.run(*SETTINGS, cwd=home)
    if code == 0:
        return False, []
    said = processes.said(home)
    run = processes.run_in(home)
    steps = STEPS * max(
        0, len(re.findall("^epoch ", said, re.MULTILINE)) - 1
    )  # the last epoch said may not have been saved
    found = judged(Ended(code, "", said), Fault(0, "ENOSPC"), run, steps)
    broken = [f"{size} MiB: {name}: {each}" for name, texts in found.items() for each in texts]
    subprocess.run(["mount", "-o", f"remount,size={ROOM}", str(place)], check=True)
    again = processes.run(*(SETTINGS if run is None else (f"resume={run.relative_to(home)}",)), cwd=home)
    run = processes.run_in(home)
    if again != 0 or run is None:
        broken.append(f"{size} MiB: with room again it ended with {again}: {processes.said(home)[-300:]}")
    elif differing := bit_equality.differences(end, run):
        broken.append(f"{size} MiB: {'; '.join(differing[:5])}")
    return True, broken
