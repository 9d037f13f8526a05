"""What sweeps came to, with `python scripts/report.py logs/sweeps/NAME ...`: a table here, and a page to look at.

Writes summary.csv, summary.md and report.html into each sweep's folder. It may be called while the sweep runs.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first

import argparse

from labbook import report
from labbook.cli import sentences
from labbook.report.page import PAGE


@sentences()
def main() -> None:
    """Print the table of each sweep, and where its page is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", nargs="+", type=Path, metavar="SWEEP", help="folder of a sweep, in logs/sweeps")
    for folder in parser.parse_args().sweeps:
        report.show(report.write(folder))
        print(f"report: {folder / PAGE}")


if __name__ == "__main__":
    main()
