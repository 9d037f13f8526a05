"""Sweeps: many runs under one name, each done once, resumed by the same command."""
