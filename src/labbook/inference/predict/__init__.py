"""Predictions of a trained network for new images: `scripts/predict.py`."""
