"""Time the training loop beside a bare PyTorch loop and a notebook's: `python scripts/benchmark.py LeNet MLP`.

Every contestant trains the same network on the same images, in turns; the ratios of one run are what counts.
Keras' `fit` is among them where TensorFlow is installed (make setup EXTRAS=keras) and there is no GPU.
"""

import argparse

from rich.console import Console
from rich.table import Table

from labbook import config, hardware
from labbook.benchmark.cases import CASES
from labbook.benchmark.contestants import CONTESTANTS
from labbook.benchmark.timing import lines, timed
from labbook.cli import sentences
from labbook.errors import SettingError
from labbook.evaluation import libraries
from labbook.sweeps import sweepers


@sentences()
def main() -> None:
    """Print a table of all cases, or of those whose names contain one of the words given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="parts of names: " + "; ".join(case.name for case in CASES))
    parser.add_argument("--repetitions", type=int, default=5, help="of each timing, after one that does not count")
    parser.add_argument("--precision", default="auto", help=f"one of {', '.join(hardware.PRECISIONS)}")
    given = parser.parse_args()
    chosen = [
        case for case in CASES if not given.words or any(word.lower() in case.name.lower() for word in given.words)
    ]
    if not chosen:
        raise SettingError(f"no case is named so; they are: {'; '.join(case.name for case in CASES)}")
    if given.repetitions < 1:
        raise SettingError("--repetitions must be at least 1")
    config.register()
    sweepers.register()
    choice = hardware.choose({"precision": given.precision}, hardware.describe())
    table = Table(*("case", "way to train", "images/s", "time / bare loop", "from to"), box=None, pad_edge=False)
    for case in chosen:
        for row in lines(case, timed(case, CONTESTANTS, given.repetitions, given.precision)):
            table.add_row(*row)
    Console().print(table)
    print(f"medians of {given.repetitions}, in turns; {choice.reason}; {libraries()}")


if __name__ == "__main__":
    main()
