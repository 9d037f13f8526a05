"""What a trained network says of images that it has not seen: `scripts/predict.py`."""
