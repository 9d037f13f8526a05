"""How fast the training loop is beside its limits and its alternatives: `scripts/benchmark.py`."""
