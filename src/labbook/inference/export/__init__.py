"""A trained network as a file for other programs: a module for each format, all alike."""
