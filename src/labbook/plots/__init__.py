"""Plots as pixels."""
