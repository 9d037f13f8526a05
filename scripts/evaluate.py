"""Test a run's network again: python scripts/evaluate.py RUN [SETTING=VALUE ...]

RUN is the folder that a run named in its last line. Settings such as data.root=FOLDER or trainer.precision=32 stand in
for those of the run; the data may also be another set of the same classes.
"""

import argparse
from pathlib import Path

from omegaconf import OmegaConf

from labbook.cli import sentences
from labbook.resuming import read_config


@sentences
def main() -> None:
    """Print loss, accuracy and the accuracy of each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE", help="instead of the run's own")
    parser.add_argument("--weights", choices=("best", "last"), help="default: those that the run itself tested")
    parser.add_argument("--split", choices=("test", "val", "train"), default="test")
    arguments = parser.parse_args()
    config = OmegaConf.merge(read_config(arguments.run), OmegaConf.from_dotlist(arguments.settings))

    from labbook import evaluation  # torch takes seconds, which a refusal need not wait for

    outcome = evaluation.evaluate_run(arguments.run, config, arguments.split, arguments.weights)
    names = outcome.class_names
    print(f"{arguments.split}  loss {outcome.figures.loss:.4f}  acc {outcome.figures.acc:.4f}  n {outcome.figures.images}")
    for name, row, index in zip(names, outcome.confusion, range(len(names)), strict=True):
        print(f"  {name:<20} acc {int(row[index]) / max(int(row.sum()), 1):.4f}  n {int(row.sum())}")


if __name__ == "__main__":
    main()
