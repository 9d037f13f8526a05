"""Train one network in PyTorch and in Keras, with `python tools/compare_keras.py SETTING=VALUE ...`.

The settings are those of train.py, such as experiment=a1_mlp_mnist. This program trains first, then Keras' `fit` from
the same weights; the table has the test accuracy after each epoch and the seconds of its training steps. The first
epoch of either includes what it does only once, such as making Keras' graph. Needs TensorFlow: make setup EXTRAS=keras.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where tools is
sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first

import argparse
import os

from rich.console import Console
from rich.table import Table

from labbook.cli.command_line import sentences
from labbook.config.compose import compose_config
from labbook.errors import SettingError
from labbook.files import make_folder
from labbook.runs import outputs
from labbook.signals import restore_interrupts


@sentences()
def main() -> None:
    """Print the table."""
    restore_interrupts()  # Ctrl-C ends processes and removes temporary folders first
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE", help="as train.py takes them")
    parser.add_argument("--seeds", type=int, default=1, help="train with this many seeds, counted up from seed")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write every epoch of every seed there")
    given = parser.parse_intermixed_args()
    if given.seeds < 1:
        raise SettingError("--seeds must be at least 1")
    outputs.check_outputs({"--csv": given.csv})
    if given.csv:
        make_folder(given.csv.parent)

    import torch  # takes seconds, which a refusal need not wait for

    from labbook.runs.provenance import library_versions
    from tools.benchmark import keras_comparison, keras_process

    first = compose_config(*given.settings).seed
    pairs = []
    for seed in range(first, first + given.seeds):
        with Console(stderr=True).status(f"seed {seed}"):
            pairs.append(keras_comparison.both(given.settings, seed))
    if given.csv:
        outputs.write_output(given.csv, keras_comparison.as_csv(pairs, first))
    table = Table("epoch", "test acc: Labbook", "Keras", "seconds: Labbook", "Keras", box=None, pad_edge=False)
    for row in keras_comparison.lines(pairs):
        table.add_row(*row)
    how = f"mean (least to most) of {given.seeds} seeds; " if given.seeds > 1 else ""
    threads = f"torch.get_num_threads() {torch.get_num_threads()}, {os.cpu_count()} cores"
    with outputs.print_beside_outputs(given.csv):
        Console(width=max(Console().width, 110)).print(table)  # a range for each figure would not fit into 80
        print(f"{how}CPU, 32 bits, {threads}; {library_versions()}, {keras_process.process().ask('described')}")


if __name__ == "__main__":
    main()
