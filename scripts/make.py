"""The commands of the Makefile for systems without make: `python scripts/make.py help` lists them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))  # nothing is installed yet

from labbook.setup import main

if __name__ == "__main__":
    main()
