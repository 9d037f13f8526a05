"""A comparison of finished runs: settings, metrics, time, and significance."""

from labbook.reports.comparison.load_runs import only_runs
from labbook.reports.comparison.summary import Comparison, compare, print_comparison

__all__ = ["Comparison", "compare", "only_runs", "print_comparison"]
