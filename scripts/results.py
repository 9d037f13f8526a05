"""The page of results, docs/results.md, from the figures kept in docs/results: `python scripts/results.py`.

The table of the labs in README.md is made from them, too.

With `--keep logs/sweeps/NAME ...` the figures of these sweeps are kept there first.
"""

from labbook import starting as starting  # isort: skip - Ctrl-C now ends the program quietly

import argparse
from pathlib import Path

from labbook.cli import sentences
from labbook.files import write_whole
from labbook.results import page, pictures
from labbook.results.keeping import keep

FOLDER, README = Path("docs/results"), Path("README.md")


@sentences()
def main() -> None:
    """Say what was kept, and which figures are worse than the published ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", nargs="+", type=Path, default=[], metavar="SWEEP", help="folders in logs/sweeps")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where figures are kept; default: %(default)s")
    given = parser.parse_args()
    for sweep in given.keep:
        print(f"{sweep}: {keep(sweep, given.folder)} runs kept")
    file = given.folder.with_suffix(".md")
    lines = page.write(file, given.folder)
    page.write_brief(README, file, lines)
    for name, draw in (("differences.svg", pictures.differences), ("by_epoch.svg", pictures.by_epoch)):
        write_whole(given.folder / name, draw(lines))
    for line in (line for line in lines if line.worse):
        print(f"worse than published: {line.system}, {line.label}: {line.name} by {-line.difference:.4f}")
    print(f"page: {file}")


if __name__ == "__main__":
    main()
