"""What happens beside the steps of a training: recording, saving, plots, early stopping, averages of weights."""

from labbook.callbacks.early_stopping import EarlyStopping as EarlyStopping
from labbook.callbacks.pictures import Pictures as Pictures
from labbook.callbacks.progress import Progress as Progress
