"""Finished runs beside each other: settings, figures, time, and which of them is better."""

from labbook.comparison.gathering import without_others
from labbook.comparison.showing import Comparison, compare, show

__all__ = ["Comparison", "compare", "show", "without_others"]
