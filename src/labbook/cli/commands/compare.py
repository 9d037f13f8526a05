"""Compare runs, with `python scripts/compare.py RUN RUN ...`.

Prints the settings that differ, the final metrics, machines and times. For each pair of runs with the same test
images, it prints whether the difference is significant. --html writes all this and the learning curves to a page.
"""

from pathlib import Path

from labbook.cli.command_line import exit_with_message
from labbook.config import invocation
from labbook.console import print_notes
from labbook.reports import comparison
from labbook.runs import outputs
from labbook.sweeps.best_experiment import runs_of


@exit_with_message()
def main() -> None:
    parser = invocation.command_parser("compare", __doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="two or more run folders")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write an HTML page with learning curves")
    given = parser.parse_args()
    outputs.check_outputs({"--html": given.html})
    runs, others = comparison.only_runs([run for folder in given.runs for run in runs_of(folder)])
    if others:
        print_notes([f"ignored, as these are not run folders: {', '.join(map(str, others))}"])
    compared = comparison.compare(runs)
    if given.html:
        from labbook.reports.comparison import summary  # matplotlib takes a second

        outputs.write_output(given.html, summary.comparison_html(compared))
    with outputs.print_beside_outputs(given.html):
        comparison.print_comparison(compared)
        if given.html:
            print(f"comparison: {given.html}")
