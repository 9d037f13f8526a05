"""The row of an epoch in metrics.csv: its columns, its metrics, and its line on the terminal."""

import csv
import io
import re
from collections.abc import Mapping
from functools import wraps
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from labbook.training.lightning_internals import logs_each_step

Row = dict[str, float]

OTHER_COLUMNS = ("epoch", "step", "lr", "images", "seconds", "images_per_second", "steps_per_second")
PART = re.compile(r"(train|val)[/_]")

WORTH_SAYING = 5.0  # estimated seconds to the end of the training
MOST = 3  # metrics of one data split in the line of an epoch
USUAL = ("loss", "acc")  # of a classifier, whose line shows only these


def rows_as_csv(rows: list[Row]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row if name != "images"))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def epoch_line(row: Row, epochs: int) -> str:
    figures = [said for part in ("train", "val", "") if (said := metrics_of_part(row, part))]
    number = f"{int(row['epoch']):>{len(str(epochs))}}/{epochs}"
    per_second = f"{row['steps_per_second']:,.1f} steps/s" if "steps_per_second" in row else ""
    pace = per_second or f"{row['images_per_second']:,.0f} images/s"
    return "  ".join([f"epoch {number}", *figures, f"{row['seconds']:.1f} s", pace])


def time_left(seconds: float) -> str:
    """The remaining time, such as 42 s, 5 min or 3 h 20 min; empty if it is short."""
    minutes = round(seconds / 60)
    if seconds < WORTH_SAYING:
        return ""
    if seconds < 100:
        return f"  {seconds:.0f} s left"
    return f"  {minutes} min left" if minutes < 100 else f"  {minutes // 60} h {minutes % 60:02} min left"


def is_layer_metric(name: str) -> bool:
    return name.startswith("gradient/")


def metric_names(row: Row) -> list[str]:
    return [name for name in row if name not in OTHER_COLUMNS and not name.startswith("lr/")]


def metrics_of_part(row: Row, part: str) -> str:
    """The first metrics of a data split, loss and accuracy first; without a split, all other metrics."""
    own = [name for name in metric_names(row) if part_of_metric(name) == part and not is_layer_metric(name)]
    found = {without_part(name): row[name] for name in own}
    first = {name: found[name] for name in USUAL if name in found}
    shown = first if len(first) == len(USUAL) else dict([*(first | found).items()][:MOST])
    said = " ".join(f"{name} {format_metric(value)}" for name, value in shown.items())
    return f"{part} {said}".strip() if said else ""


def part_of_metric(name: str) -> str:
    """The data split in a metric's name, as in train/loss or val_loss; empty if there is none."""
    match = PART.match(name)
    return match[1] if match else ""


def without_part(name: str) -> str:
    return PART.sub("", name)


def format_metric(value: float) -> str:
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


LOADER = "/dataloader_idx_"  # Lightning adds this and a number to the metric names of several loaders
FORKS = ("_step", "_epoch")  # Lightning adds these to a metric that is logged by step and by epoch


def log_epoch(model: LightningModule, metrics: Mapping[str, float]) -> None:
    """Log metrics of an epoch, equal in all processes, in full precision; Lightning makes numbers float32."""
    several = model.trainer.world_size > 1
    device = model.device if several else torch.device("cpu")  # NCCL needs GPU tensors; MPS has no float64
    values = {name: torch.tensor(value, dtype=torch.float64, device=device) for name, value in metrics.items()}
    model.log_dict(values, batch_size=1, sync_dist=several)


class EpochMetrics:
    """The metrics that a module logs; those of whole epochs are written by the recorder's loggers.

    Lightning would log them after the epoch's checkpoint, and a run killed in between would lose them. Metrics of
    single steps are logged as usual.
    """

    def __init__(self) -> None:
        self.validated: set[str] = set()  # names logged in a validation
        self.unlogged: set[str] = set()  # names logged with logger=False

    def follow(self, model: LightningModule) -> None:
        """Watch what the module logs with `log` or `log_dict`; call once per module."""
        if "log" in vars(model):
            return
        original = model.log

        @wraps(original)
        def log(name: str, value: Any, *positional: Any, **options: Any) -> None:
            trainer = model.trainer
            if trainer.validating or trainer.evaluating:
                self.validated.add(name)
            if options.get("logger") is False:
                self.unlogged.add(name)
            by_epoch = logs_each_step(model, options.get("on_step")) is False
            if by_epoch and not positional and options.get("logger") is None:
                options["logger"] = False
            original(name, value, *positional, **options)

        vars(model)["log"] = log

    def of(self, logged: Mapping[str, Tensor], validated: bool) -> dict[str, float]:
        """Metrics by name, training first; without those of an older validation if there was none in this epoch."""
        own = {name: value.item() for name, value in logged.items() if name not in forked_names(logged)}
        held_out = {name: value for name, value in own.items() if name.partition(LOADER)[0] in self.validated}
        trained = {name: value for name, value in own.items() if name not in held_out}
        found = in_layer_order(trained) | (in_layer_order(held_out) if validated else {})
        return {name: found[name] for name in sorted(found, key=lambda name: name.startswith("gradient/"))}

    def for_loggers(self, values: Mapping[str, float]) -> dict[str, float]:
        """The metrics of a row, or of a finished run, that loggers get."""
        return {name: value for name, value in values.items() if name.partition(LOADER)[0] not in self.unlogged}


def in_layer_order(metrics: Mapping[str, float]) -> dict[str, float]:
    """Sorted by name; the layers of a network keep their order."""
    return {name: metrics[name] for name in sorted(metrics, key=lambda name: "" if is_layer_metric(name) else name)}


def forked_names(logged: Mapping[str, Any]) -> set[str]:
    """The names that Lightning adds for a metric that is logged by step and by epoch."""
    parts = [name.partition(LOADER) for name in logged]
    forks = [{f"{base}{fork}{loader}{number}" for fork in FORKS} for base, loader, number in parts]
    return {name for pair in forks if pair <= logged.keys() for name in pair}
