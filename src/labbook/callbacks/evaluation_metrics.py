"""Metrics of torchmetrics over all images of a validation or a test."""

import logging
import warnings
from collections.abc import Mapping
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torchmetrics import Metric

from labbook.errors import SettingError
from labbook.training.epoch_rows import log_epoch
from labbook.training.metric_building import metric_inputs
from labbook.training.row_buffer import RowBuffer

log = logging.getLogger("labbook")

AT_ONCE = 2**22  # logits that wait at most


class EvaluationMetrics(Callback):
    """Logs metrics, given by name, as `val/NAME` and `test/NAME`.

    They get the logits and labels that `validation_step` and `test_step` return. They are not part of the network or of
    a checkpoint: a resumed validation starts again. With several processes, torchmetrics combines their states.
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self.metrics = dict(metrics)
        self._pending = RowBuffer()  # logits [n, classes] and labels, added many at a time
        self._warned: set[str] = set()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pending = RowBuffer()
        for metric in self.metrics.values():
            metric.to(pl_module.device)
            metric.reset()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._add(outputs, "test_step" if trainer.testing else "validation_step")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._update()
        values = {}
        for name, metric in self.metrics.items():
            with warnings.catch_warnings(record=True, action="always") as found:
                values[f"{'test' if trainer.testing else 'val'}/{name}"] = metric.compute().item()
            for line in (f"metrics.{name}: {item.message}" for item in found):
                if line not in self._warned:  # such as a class without images, once instead of in every epoch
                    self._warned.add(line)
                    log.warning("%s", line)
            metric.reset()
        log_epoch(pl_module, values)

    on_test_start, on_test_batch_end = on_validation_start, on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end

    def _add(self, outputs: Any, step: str) -> None:
        if not isinstance(outputs, Mapping) or not {"logits", "labels"} <= outputs.keys():
            raise SettingError(
                f"metrics needs a {step} that returns a dict with logits [n, classes] and labels [n]:"
                " return them, or use metrics=default"
            )
        logits = outputs["logits"]
        self._pending.add((logits, outputs["labels"]))
        if self._pending.count * logits.shape[1:].numel() >= AT_ONCE:
            self._update()

    def _update(self) -> None:
        """Add the pending batches: few large updates, because each takes torchmetrics up to a millisecond."""
        if not self._pending:
            return
        logits, labels = self._pending.take()
        for metric in self.metrics.values():
            # Without images (in a process that has none), only metrics that keep all of them need the shape.
            if len(labels) or any(isinstance(state, list) for state in metric.metric_state.values()):
                metric.update(*metric_inputs(metric, logits, labels))
