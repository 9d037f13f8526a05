"""The former place of `Classifier` and `Task`, which are in `labbook.training.classifier` now."""

from labbook.training.classifier import Classifier as Classifier
from labbook.training.classifier import Task as Task
