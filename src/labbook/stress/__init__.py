"""What the program promises to survive, done to it: `scripts/stress.py`."""
