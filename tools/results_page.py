"""The page of results, docs/results.md, from the figures kept in docs/results: `python tools/results_page.py`.

The table of the labs in README.md is made from them, too.

With `--keep logs/sweeps/NAME ...` the figures of these sweeps are kept there first, in place of those kept before.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where tools is
sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first

import argparse

from labbook.cli.command_line import exit_with_message
from labbook.runs import outputs
from tools.results import archive, page, plots

FOLDER, README = Path("docs/results"), Path("README.md")


@exit_with_message()
def main() -> None:
    """Say what was kept, and which figures are worse than the published ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", nargs="+", type=Path, default=[], metavar="SWEEP", help="folders in logs/sweeps")
    others = parser.add_mutually_exclusive_group()
    for before, told in (("add", "besides"), ("replace", "instead of")):
        told = f"keep them {told} kept runs that these sweeps do not have"
        others.add_argument(f"--{before}", dest="before", action="store_const", const=before, help=told)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where figures are kept; default: %(default)s")
    given = parser.parse_args()
    for found in [archive.finished(sweep, given.folder, given.before) for sweep in given.keep]:
        print(f"{found.sweep.path}: {archive.keep(found, given.folder)} runs kept")
    file = given.folder.with_suffix(".md")
    lines = page.write(file, given.folder)
    if given.folder == FOLDER:
        page.write_brief(README, file, lines)
    drawn = {"differences": plots.differences, "tests": plots.of_tests, "by_epoch": plots.by_epoch}
    for name, draw in drawn.items():
        outputs.write_output(given.folder / f"{name}.svg", draw(lines))
    for line in (line for line in lines if line.worse):
        print(f"worse than published: {line.system}, {line.label}: {line.name} by {-line.difference:.4f}")
    print(f"page: {file}")


if __name__ == "__main__":
    main()
