"""One step of training and all that belongs to it: task, losses, metrics, optimizers, schedules, device."""
