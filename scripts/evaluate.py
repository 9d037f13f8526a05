"""Test a run's network again, with `python scripts/evaluate.py RUN [SETTING=VALUE ...]`.

RUN is the folder that a run named in its last line. Settings such as data.root=FOLDER or trainer.precision=32 stand in
for those of the run; the data may also be another set of the same classes.
"""

from labbook import starting as starting  # isort: skip - Ctrl-C now ends the program quietly

import argparse
import sys
from pathlib import Path

from labbook import importing
from labbook.cli import sentences
from labbook.names import printable
from labbook.resuming import read_config, with_settings
from labbook.runs import read_metrics


@sentences()
def main() -> None:
    """Print loss, accuracy and the accuracy of each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE", help="instead of the run's own")
    parser.add_argument("--weights", choices=("best", "last"), help="default: those that the run itself tested")
    parser.add_argument("--split", choices=("test", "val", "train"), default="test")
    arguments = parser.parse_intermixed_args()
    config = with_settings(read_config(arguments.run), arguments.settings)

    with importing.heavy():  # takes seconds, which a refusal need not wait for
        from labbook import evaluation

    outcome, data = evaluation.evaluate_run(arguments.run, config, arguments.split, arguments.weights)
    if (status := read_metrics(arguments.run).get("status", "unknown")) != "finished":
        print(f"note: the run is not finished ({printable(status)}): what it saved was tested", file=sys.stderr)
    figures = outcome.figures
    print(f"{arguments.split} loss {figures.loss:.4f} acc {figures.acc:.4f}  n {figures.images}")
    for index, (name, row) in enumerate(zip(data.spec.class_names, outcome.confusion.tolist(), strict=True)):
        print(f"  {printable(name):<20} acc {row[index] / max(sum(row), 1):.4f}  n {sum(row)}")


if __name__ == "__main__":
    main()
