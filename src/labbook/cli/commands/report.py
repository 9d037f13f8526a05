"""Show the results of sweeps, with `python scripts/report.py logs/sweeps/NAME ...`.

Prints a table, and writes summary.csv, summary.md and report.html into the folder of each sweep. It also works while
the sweep is running.
"""

from pathlib import Path

from labbook import reports
from labbook.cli.command_line import exit_with_message
from labbook.config import invocation
from labbook.reports.sweep_page import PAGE


@exit_with_message()
def main() -> None:
    parser = invocation.command_parser("report", __doc__)
    parser.add_argument("sweeps", nargs="+", type=Path, metavar="SWEEP", help="sweep folder, such as logs/sweeps/NAME")
    for folder in parser.parse_args().sweeps:
        reports.print_table(reports.write_report(folder))
        print(f"report: {folder / PAGE}")
