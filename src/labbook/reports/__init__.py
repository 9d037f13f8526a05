"""The end of a sweep: a table, figures and pictures of all its runs. Imports no torch."""

from labbook.reports.grouping import Report
from labbook.reports.sweep_page import write
from labbook.reports.tables import show

__all__ = ["Report", "show", "write"]
