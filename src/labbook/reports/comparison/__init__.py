"""Finished runs beside each other: settings, figures, time, and which of them is better."""

from labbook.reports.comparison.load_runs import only_runs
from labbook.reports.comparison.summary import Comparison, compare, print_comparison

__all__ = ["Comparison", "compare", "only_runs", "print_comparison"]
