"""Temperature scaling (Guo et al., 2017, arXiv 1706.04599), fitted to the validation images of a run."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from pytorch_lightning import Callback
from torch import Tensor

from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.files import make_folder, write_whole
from labbook.inference.calibration import FILE
from labbook.inference.evaluate.class_metrics import bins_of, expected_error
from labbook.inference.evaluate.evaluate_run import evaluate_run
from labbook.inference.trained_model import Weights

LOWEST, HIGHEST = 0.01, 100.0  # temperatures
HALVINGS = 60


class LogitCollector(Callback):
    """Keeps the logits and labels of a test on the CPU."""

    def __init__(self) -> None:
        self._kept: list[tuple[Tensor, Tensor]] = []

    def on_test_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self._kept.append((outputs["logits"].float().cpu(), outputs["labels"].cpu()))

    @property
    def logits(self) -> Tensor:
        """[n, classes], float64."""
        return torch.cat([logits for logits, _ in self._kept]).double()

    @property
    def labels(self) -> Tensor:
        """int64 [n], or float [n, classes] if an image can have several classes."""
        return torch.cat([labels for _, labels in self._kept])


@dataclass(frozen=True)
class CalibrationQuality:
    """How good the probabilities of test images are."""

    calibration_error: float  # ECE
    nll: float  # negative log-likelihood of the true classes, in nats

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor, spec: ImageSpec) -> "CalibrationQuality":
        probabilities = spec.probabilities(logits)
        if spec.multilabel:
            confidence, correct = probabilities.flatten(), labels.flatten() > 0.5
            nll = F.binary_cross_entropy_with_logits(logits, labels.double())
        else:
            confidence, predicted = probabilities.max(1)
            correct, nll = predicted == labels, F.cross_entropy(logits, labels)
        return cls(expected_error(bins_of(confidence, correct)), nll.item())


@dataclass(frozen=True)
class TemperatureFit:
    """A temperature, and what it was fitted to."""

    temperature: float
    epoch: int  # of the weights
    images: int  # for validation


def fit_on_validation(run: Path, config: DictConfig, weights: Weights | None) -> TemperatureFit:
    """The temperature of a run, by its own validation images; the test images are not used."""
    if config.data.get("validation") == "test":
        raise SettingError("--calibrate needs validation images, and this run validates on the test set")
    if not (config.folds or config.data.get("val_fraction", 1)):
        raise SettingError("--calibrate needs validation images, and this run has none: data.val_fraction=0")
    kept = LogitCollector()
    found = evaluate_run(run, config, "val", weights, callbacks=[kept])
    if found.as_recorded is False:
        raise SettingError("--calibrate needs the images of the training, and they have changed since")
    return TemperatureFit(fit_temperature(kept.logits, kept.labels), found.epoch, len(kept.labels))


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature with the lowest NLL, for logits float64 [n, classes].

    `labels` are int64 [n], or [n, classes] if an image can have several classes. The NLL is convex in 1 / temperature,
    so its slope is 0 at one place.
    """

    def slope(scale: float) -> float:
        if labels.ndim == 2:
            return float(((logits * scale).sigmoid().sub(labels) * logits).mean())
        expected = ((logits * scale).softmax(1) * logits).sum(1)
        return float((expected - logits.gather(1, labels[:, None])[:, 0]).mean())

    if slope(1 / LOWEST) <= 0:
        raise SettingError(
            f"--calibrate needs validation images with errors, and all {len(labels):,} are classified correctly: use"
            " more validation images"
        )
    if slope(1 / HIGHEST) >= 0:
        raise SettingError("--calibrate needs a network that is better than chance on the validation images")
    low, high = math.log(1 / HIGHEST), math.log(1 / LOWEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(math.exp(middle)) < 0 else (low, middle)
    return math.exp(-low)


def write_calibration(run: Path, fit: TemperatureFit, tested: LogitCollector, spec: ImageSpec) -> list[str]:
    """Write the temperature into the run, with its effect on the test images; returns lines that say this."""
    logits, labels = tested.logits, tested.labels
    before, after = (CalibrationQuality.of(logits / scale, labels, spec) for scale in (1, fit.temperature))
    content = asdict(fit) | {"test": {"before": asdict(before), "after": asdict(after)}}
    make_folder((run / FILE).parent)
    write_whole(run / FILE, json.dumps(content, indent=2) + "\n")
    return [
        f"temperature {fit.temperature:.4f} (fitted to {fit.images:,} validation images)",
        f"test calibration error {before.calibration_error:.4f} -> {after.calibration_error:.4f},"
        f" NLL {before.nll:.4f} -> {after.nll:.4f}, the same accuracy",
        f"calibration: {run / FILE}",
    ]
