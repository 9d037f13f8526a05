"""Do to the program what it promises to survive: `python tools/stress_test.py`, or `... --parts kills,sweep --quick`.

Kills at random moments, a sweep with failures and kills, operations on files that fail, bad input, a long run. The
figures can be written to a page, between the marks of each part. Ends with 1 where a promise was not kept.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where tools is
sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first

import argparse
import importlib
import os

from labbook.cli.command_line import exit_with_message
from labbook.errors import SettingError, TrainingError, list_choices
from labbook.runs import outputs
from labbook.signals import restore_interrupts
from labbook.training import hardware
from tools.benchmark import report
from tools.benchmark.sections import say
from tools.stress import page
from tools.stress.part import Effort, Outcome

MODULES = {
    "kills": "kills",
    "sweep": "sweep",
    "faults": "io_faults",
    "full_disk": "full_disk",
    "inputs": "bad_input",
    "memory": "long_run",
}
PARTS = tuple(MODULES)


@exit_with_message()
def main() -> None:
    """Print the table of each part asked for, and write them to a file if one is given.

    Raises:
        TrainingError: something was lost, differed or ended in a traceback.
    """
    restore_interrupts()  # Ctrl-C ends processes and removes temporary folders first
    report.check_system(linux="Linux")
    given = parsed()
    names = given.parts.split(",")
    for name in names:
        if name not in PARTS:
            raise SettingError(f"--parts={name} is unknown; {list_choices(name, PARTS)}")
    outputs.check_outputs({"--write": given.write})
    if given.seconds <= 0 or given.jobs < 1:
        raise SettingError("--seconds must be more than 0 and --jobs at least 1")
    effort = Effort(given.quick, given.seconds, given.seed, given.jobs)
    outcomes = {}
    for name in names:
        say(name)
        outcomes[name] = importlib.import_module(f"tools.stress.{MODULES[name]}").part(effort)
        report.show(outcomes[name].section)
        for line in outcomes[name].broken:
            print(f"broken: {line}")
    choice = hardware.choose_device({"accelerator": "cpu", "precision": "32"}, hardware.describe_machine())
    about = f"{report.machine(choice)}, by `{' '.join(['python', *sys.argv])}`."
    if given.write:
        page.write(given.write, outcomes, about)
    print(about)
    told(outcomes)


def parsed() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="with commas between; %(default)s")
    parser.add_argument("--quick", action="store_true", help="a little of everything, in a few minutes")
    parser.add_argument("--seconds", type=float, default=300, help="of each part, at most about; %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="draws moments, places and arguments; %(default)s")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="programs at once; %(default)s")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also as Markdown, in place of what is there")
    return parser.parse_args()


def told(outcomes: dict[str, Outcome]) -> None:
    """End as the parts did.

    Raises:
        TrainingError: a promise was not kept.
    """
    counts = {name: len(outcome.broken) for name, outcome in outcomes.items() if outcome.broken}
    if counts:
        raise TrainingError(f"not as promised: {', '.join(f'{name} {count}' for name, count in counts.items())}")


if __name__ == "__main__":
    main()
