"""Finished runs beside each other: settings, figures, time, and which of them is better."""

from labbook.reports.comparison.load_runs import without_others
from labbook.reports.comparison.summary import Comparison, compare, show

__all__ = ["Comparison", "compare", "show", "without_others"]
