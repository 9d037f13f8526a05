"""Sweeps: many runs under one name, each done once, continued by the same command."""
