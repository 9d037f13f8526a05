"""Data sets, one a file, on the base of `datamodule.py`."""
