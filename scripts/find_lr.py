"""The command `labbook find-lr`, with `python scripts/find_lr.py`: --help tells what it does."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first

from labbook.cli.commands.find_lr import main

if __name__ == "__main__":
    main()
