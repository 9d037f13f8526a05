"""Reports of sweeps: tables, metrics and plots. Imports no torch."""

from labbook.reports.grouping import Report
from labbook.reports.sweep_page import write_report
from labbook.reports.tables import print_table

__all__ = ["Report", "print_table", "write_report"]
