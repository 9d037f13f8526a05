"""Architectures: one per file, trained by `labbook.training.classifier`."""
