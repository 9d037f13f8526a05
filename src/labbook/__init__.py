"""Labbook: train, compare and resume image classifiers with Hydra and PyTorch Lightning."""

import sys
from types import ModuleType

# TensorBoard would load a TensorFlow that it finds, for seconds and without need; this is its own sign not to.
sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))

__version__ = "0.1.0"
