"""Architectures, one a file, on the one training task of `classifier.py`."""
