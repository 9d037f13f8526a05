"""The end of a sweep: a table, figures and pictures of all its runs. Imports no torch."""

from labbook.report.grouping import Report
from labbook.report.page import write
from labbook.report.tables import show

__all__ = ["Report", "show", "write"]
