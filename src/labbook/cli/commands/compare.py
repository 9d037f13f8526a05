"""Runs beside each other, with `python scripts/compare.py RUN RUN ...`: what differs, and which one is better.

Prints the settings that differ, the final figures, machines and times, and for every two runs that were tested on the
same images whether the difference is more than chance. --html writes all that and the learning curves into one page.
"""

import sys
from pathlib import Path

from labbook.cli.command_line import sentences
from labbook.config import invocation
from labbook.errors import printable
from labbook.reports import comparison
from labbook.runs import outputs
from labbook.sweeps.best_experiment import runs_of


@sentences()
def main() -> None:
    """Print the comparison, and write its page if asked to."""
    parser = invocation.command_parser("compare", __doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run; two or more")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also as a page, with curves")
    given = parser.parse_args()
    outputs.check_outputs({"--html": given.html})
    runs, others = comparison.without_others([run for folder in given.runs for run in runs_of(folder)])
    if others:
        print(f"note: no runs, so left out: {printable(', '.join(map(str, others)))}", file=sys.stderr)
    compared = comparison.compare(runs)
    if given.html:
        from labbook.reports.comparison import page  # matplotlib takes a second

        outputs.write_output(given.html, page.html(compared))
    with outputs.print_beside_outputs(given.html):
        comparison.show(compared)
        if given.html:
            print(f"comparison: {given.html}")
