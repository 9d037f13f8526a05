"""Actions around the steps of a training: recording, checkpoints, plots, early stopping, weight averages."""

from labbook.callbacks.early_stopping import EarlyStopping as EarlyStopping
from labbook.callbacks.pictures import Pictures as Pictures
from labbook.callbacks.progress import Progress as Progress
