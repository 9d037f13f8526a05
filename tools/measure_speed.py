"""Measure what the program costs: `python tools/measure_speed.py`, or `... --sections training LeNet MLP`.

Training beside the fastest plain PyTorch loop and a notebook, the parts of a step, start-up, memory and growth. All
figures of a table are taken in turns in one run: on a shared machine the ratios are what counts. A busy machine is
refused, because its figures depend on the other programs; `--busy` measures it all the same, and says so.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where tools is
sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first

import argparse
from collections.abc import Callable

from labbook.cli.command_line import exit_with_message
from labbook.errors import SettingError, list_choices
from labbook.files import make_folder
from labbook.runs import outputs
from labbook.signals import restore_interrupts
from labbook.training import hardware
from tools.benchmark import (
    hydra_template,
    image_folder,
    keras_training,
    memory,
    photograph_loaders,
    plain_loop,
    report,
    scaling,
    startup,
    step_profile,
    timing,
)
from tools.benchmark.cases import CASES, Case
from tools.benchmark.contenders import CONTESTANTS
from tools.benchmark.sections import Section, say

FEW = 3  # repetitions at most of what takes whole processes or changes little

SECTIONS: dict[str, Callable[[list[Case], int, str], list[Section]]] = {
    "training": lambda cases, n, precision: [timing.training(cases, CONTESTANTS, n, precision)],
    "parts": lambda cases, n, precision: [step_profile.section(cases, min(n, FEW), precision)],
    "options": lambda cases, n, precision: [plain_loop.choices(cases, min(n, FEW), precision)],
    "startup": lambda _, n, __: [startup.section(n)],
    "memory": lambda cases, n, _: [memory.section(min(n, FEW), cases)],
    "growth": lambda _, n, __: [scaling.with_data(min(n, FEW)), scaling.with_runs(min(n, FEW))],
    "photographs": lambda _, n, precision: [
        image_folder.building(n),
        image_folder.second_epoch(precision),
        photograph_loaders.section(n),
        photograph_loaders.training(min(n, FEW)),
    ],
}


@exit_with_message()
def main() -> None:
    """Print the tables asked for, and write them to a file if one is given."""
    restore_interrupts()  # Ctrl-C ends processes and removes temporary folders first
    report.check_system(linux="Linux", darwin="macOS")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="parts of names: " + "; ".join(case.name for case in CASES))
    parser.add_argument("--sections", default=",".join(SECTIONS), help="with commas between; %(default)s")
    parser.add_argument(
        "--repetitions",
        type=int,
        default=5,
        help="of each timing, after one that does not count; at most 3 of the longer ones",
    )
    parser.add_argument("--precision", default="auto", help=f"one of {', '.join(hardware.PRECISIONS)}")
    parser.add_argument("--template", type=Path, metavar="FOLDER", help="also train with this Lightning-Hydra-Template")
    parser.add_argument("--keras", type=Path, metavar="PYTHON", help="also train with Keras, of this Python")
    parser.add_argument("--busy", action="store_true", help="measure although other programs are running")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also as Markdown")
    given = parser.parse_args()
    cases = [
        case for case in CASES if not given.words or any(word.lower() in case.name.lower() for word in given.words)
    ]
    if not cases:
        raise SettingError(f"no case is named so; they are: {'; '.join(case.name for case in CASES)}")
    outputs.check_outputs({"--write": given.write})
    if given.repetitions < 1:
        raise SettingError("--repetitions must be at least 1")
    if given.template:
        CONTESTANTS["Lightning-Hydra-Template"] = hydra_template.contestant(given.template)
    asked = given.sections.split(",")
    for name in asked:
        if name not in SECTIONS:
            raise SettingError(f"--sections={name} is unknown; {list_choices(name, SECTIONS)}")
    choice = hardware.choose_device({"precision": given.precision}, hardware.describe_machine())
    load = report.check_load(given.busy)
    if given.keras:
        CONTESTANTS["Keras"] = keras_training.contestant(given.keras)
    if given.write:
        make_folder(given.write.parent)
    about = report.conditions(choice, load, " ".join(["python", *sys.argv]))
    found = []
    for name in asked:
        say(name)
        for section in SECTIONS[name](cases, given.repetitions, given.precision):
            report.show(section)
            found.append(section)
            if given.write:
                outputs.write_output(given.write, report.markdown(found, about))
    print(about)


if __name__ == "__main__":
    main()
