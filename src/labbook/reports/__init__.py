"""The end of a sweep: a table, figures and pictures of all its runs. Imports no torch."""

from labbook.reports.grouping import Report
from labbook.reports.sweep_page import write_report
from labbook.reports.tables import print_table

__all__ = ["Report", "print_table", "write_report"]
