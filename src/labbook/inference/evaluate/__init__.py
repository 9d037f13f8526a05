"""The test of a trained network: metrics, predictions, calibration."""
