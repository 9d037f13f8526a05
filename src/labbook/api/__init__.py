"""Labbook from Python and notebooks: `train`, `sweep`, `load`. Does not import torch.

The functions do what the commands do, with the same settings and the same errors.
"""

from labbook.api.runs import Run, load
from labbook.api.start import sweep, train
from labbook.api.sweeps import Sweep
from labbook.errors import RunError, SettingError

__all__ = ["Run", "RunError", "SettingError", "Sweep", "load", "sweep", "train"]
