"""Train an image classifier: `python train.py --help` tells what there is to choose."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first

from labbook.cli.commands.train import command
from labbook.cli.commands.train import main as main

if __name__ == "__main__":
    command()
