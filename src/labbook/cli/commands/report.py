"""What sweeps came to, with `python scripts/report.py logs/sweeps/NAME ...`: a table here, and a page to look at.

Writes summary.csv, summary.md and report.html into each sweep's folder. It may be called while the sweep runs.
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
    parser.add_argument("sweeps", nargs="+", type=Path, metavar="SWEEP", help="folder of a sweep, in logs/sweeps")
    for folder in parser.parse_args().sweeps:
        reports.show(reports.write(folder))
        print(f"report: {folder / PAGE}")
