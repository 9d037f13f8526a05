"""Runs the program and notes which open files and threads it has left, as JSON; for the part `memory`.

A process of its own: what was there before is what this file needs.
"""

import json
import os
import runpy
import sys
import threading
from pathlib import Path

LEFT = "left.json"


TRAIN = str(Path(__file__).resolve().parents[2] / "train.py")


def main() -> None:
    """`train.py` with the arguments of this program, then the note."""
    note, here = Path(LEFT).absolute(), Path.cwd()
    sys.argv[0] = TRAIN
    sys.path.insert(0, str(Path(TRAIN).parent))
    try:
        runpy.run_path(TRAIN, run_name="__main__")
    finally:
        threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        note.write_text(json.dumps({"files": open_below(here), "threads": threads}), encoding="utf-8")


def open_below(folder: Path) -> list[str]:
    """The files below a folder that this process holds open, without its streams."""
    found = []
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - one of them is gone when it is looked at
        try:
            path = Path(f"/proc/self/fd/{number}").readlink()
        except OSError:
            continue
        if int(number) > 2 and path.is_relative_to(folder):
            found.append(str(path.relative_to(folder)))
    return found


if __name__ == "__main__":
    main()
