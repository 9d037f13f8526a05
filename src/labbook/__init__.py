"""Labbook: train, compare and resume image classifiers with Hydra and PyTorch Lightning."""

__version__ = "0.1.0"
