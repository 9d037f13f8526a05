"""One training step and its parts: task, losses, metrics, optimizers, schedules, device."""
