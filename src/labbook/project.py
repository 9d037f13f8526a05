"""Where things are: the checkout that Labbook runs from, if it does, and its configurations. Imports nothing heavy."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_ROOT = PACKAGE.parents[1]

# The folder of the checkout; None where the package was installed from a wheel, which carries the configurations.
CHECKOUT = _ROOT if PACKAGE.parent.name == "src" and (_ROOT / "configs").is_dir() else None
CONFIGS = CHECKOUT / "configs" if CHECKOUT else PACKAGE / "configs"

PROJECT_VARIABLE = "LABBOOK_PROJECT"  # tells the processes that a program starts which project they work for
