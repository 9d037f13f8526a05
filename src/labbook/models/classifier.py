"""The former module of `Classifier` and `Task`, now in `labbook.training.classifier`."""

from labbook.training.classifier import Classifier as Classifier
from labbook.training.classifier import Task as Task
