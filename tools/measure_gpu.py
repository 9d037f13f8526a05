"""Measure Labbook on a GPU in a few minutes: `python tools/measure_gpu.py --write gpu.json`.

Training beside the fastest plain loop, the automatic choices, images on the GPU or in the main memory, peak memory,
ResNet-18 at 224 pixels, and with `--cifar10 FOLDER` airbench94. The file is written after each part, and an error in
one part does not stop the others. Without a GPU, the CPU is measured, which takes longer; `--steps 1` only tries it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where tools is
sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from labbook.api import train
from labbook.cli.command_line import exit_with_message
from labbook.errors import StoppedBySignal, first_line
from labbook.files import make_folder, write_whole
from labbook.runs import outputs
from labbook.training import hardware
from tools.benchmark import plain_loop, report, timing
from tools.benchmark.cases import CASES, Case, case
from tools.benchmark.contenders import CONTESTANTS, ours
from tools.benchmark.sections import Section

NAMES = ("LeNet-5, batch 64", "AlexNet, batch 64", "cats-and-dogs network, batch 128")  # labs B1, B2 and D1
MEASURED = (
    *(each for each in CASES if each.name in NAMES),
    case("ResNet-18, 224 pixels, batch 64", "resnet18", 64, 224, 3, 40, 400),
)
OPTIONS = (  # each beside the run as it is
    (),
    ("trainer.precision=32",),
    ("data.on_device=false",),
    ("compile=true",),
    ("data.augment=[random_resized_crop,flip,trivial_augment]",),
)


def table(section: Section) -> list[dict[str, str]]:
    """The rows of a section, by column."""
    return [dict(zip(section.columns, row, strict=True)) for row in section.rows]


def with_options(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Images/s and peak memory of Labbook, as it is and with each option."""
    rows: list[dict[str, Any]] = []
    for each, options in ((each, options) for each in cases for options in OPTIONS):
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        asked = [option for option in options if option.startswith("trainer.precision=")]
        precision = asked[0].partition("=")[2] if asked else "auto"
        more = tuple(option for option in options if option not in asked)
        seconds = ours(replace(each, settings=(*each.settings, *more)), precision)
        memory = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
        rows.append({
            "case": each.name,
            "options": " ".join(options),
            "images/s": round(each.batch_size / seconds),
            "peak MiB": None if memory is None else round(memory),
        })  # fmt: skip
    return rows


def airbench(folder: Path | None) -> dict[str, float]:
    """The test accuracy and seconds of airbench94's ten epochs on the CIFAR-10 of a folder; empty without one."""
    if folder is None:
        return {}
    run = train("experiment=airbench94", f"data.root={folder}", "logger=none")
    return {name: float(run.metrics[name]) for name in ("test/acc", "train_seconds")}


def measure(parts: dict[str, Callable[[], Any]], file: Path) -> dict[str, Any]:
    """Run all parts, and write what is known after each."""
    choice = hardware.choose_device({}, hardware.describe_machine())
    found: dict[str, Any] = {"machine": report.machine(choice)}
    for name, part in parts.items():
        started = time.perf_counter()
        try:
            found[name] = part()
        except StoppedBySignal:
            raise
        except Exception as error:  # the other parts are still measured
            found[name] = {"error": f"{type(error).__name__}: {first_line(error)}"}
        found[f"seconds of {name}"] = round(time.perf_counter() - started, 1)
        write_whole(file, json.dumps(found, indent=2) + "\n")
    return found


@exit_with_message()
def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="FILE", required=True, help="a file for the figures, as JSON")
    parser.add_argument("--cifar10", type=Path, metavar="FOLDER", help="data.root of CIFAR-10, for airbench94")
    parser.add_argument("--repetitions", type=int, default=3, help="of each timing; %(default)s")
    parser.add_argument("--steps", type=int, help="of each timing, instead of those of each case")
    given = parser.parse_args()
    outputs.check_outputs({"--write": given.write})
    make_folder(given.write.parent)
    cases = [shortened(each, given.steps) if given.steps else each for each in MEASURED]
    parts: dict[str, Callable[[], Any]] = {
        "training": lambda: table(timing.training(cases, CONTESTANTS, given.repetitions, "auto")),
        "options": lambda: with_options(cases),
        "choices": lambda: table(plain_loop.choices(cases, given.repetitions, "auto")),
        "airbench94": lambda: airbench(given.cifar10),
    }
    print(json.dumps(measure(parts, given.write), indent=2))


def shortened(long: Case, steps: int) -> Case:
    """A case with fewer steps and images."""
    images = f"data.images={long.batch_size * (steps + 1)}"
    settings = tuple(images if item.startswith("data.images=") else item for item in long.settings)
    return replace(long, settings=settings, steps=steps)


if __name__ == "__main__":
    main()
