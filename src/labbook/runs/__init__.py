"""Run folders: their names, files, status and locks; how a run is found again."""
