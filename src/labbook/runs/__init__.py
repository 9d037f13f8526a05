"""Run folders: names, files, status, locks, resume."""
