"""How fast the training loop is beside its limits and its alternatives: `tools/measure_speed.py`."""
