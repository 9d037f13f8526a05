"""Show the results of sweeps, with `python scripts/report.py logs/sweeps/NAME ...`.

Prints a table, and writes summary.csv, summary.md and report.html into the folder of each sweep. It also works while
the sweep is running.
"""

from pathlib import Path

from labbook import reports
from labbook.cli.command_line import sentences
from labbook.config import invocation
from labbook.reports.sweep_page import PAGE


@sentences()
def main() -> None:
    """Print the table of each sweep, and where its page is."""
    parser = invocation.command_parser("report", __doc__)
    parser.add_argument("sweeps", nargs="+", type=Path, metavar="SWEEP", help="sweep folder, such as logs/sweeps/NAME")
    for folder in parser.parse_args().sweeps:
        reports.show(reports.write(folder))
        print(f"report: {folder / PAGE}")
