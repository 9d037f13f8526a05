"""Labbook: train, compare and resume image classifiers with Hydra and PyTorch Lightning."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labbook.api import Run, RunError, SettingError, Sweep, load, sweep, train

__version__ = "0.1.0"
__all__ = ["Run", "RunError", "SettingError", "Sweep", "load", "sweep", "train"]


def __getattr__(name: str) -> Any:
    """The functions for Python, imported when they are first used: programs need no part of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from labbook import api

    return getattr(api, name)
