"""Data sets, one a file, on the base of `module.py`."""
