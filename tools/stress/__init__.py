"""What the program promises to survive, done to it: `tools/stress_test.py`."""
