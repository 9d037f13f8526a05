"""Saving and loading the state of a run: whole files only, of tensors and plain data only."""

import math
import os
import pickle
import signal
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from labbook.config import lower_is_better
from labbook.errors import Interrupted, SettingError, TrainingError
from labbook.metrics import diverged
from labbook.models.classifier import Classifier
from labbook.recorder import Recorder
from labbook.signals import StopSignals


class WholeFileIO(TorchCheckpointIO):
    """Writes beside the target, flushes to disk and renames, so that the last good checkpoint stays until then."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: it could not be written; the file of before is unharmed.
        """
        path = Path(path)
        partial = path.with_name(f".{path.name}.partial")
        try:
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except RuntimeError as error:
            reason = error.__context__  # torch's writer hides why a write failed: mostly a full disk
            if not isinstance(reason, OSError):
                raise
            raise OSError(reason.errno, reason.strerror, str(path)) from error
        finally:
            partial.unlink(missing_ok=True)


def load(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """A checkpoint's content; never runs code from it.

    Raises:
        SettingError: no such file, or one that is not a whole checkpoint.
    """
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError as error:
        raise SettingError(f"there is no checkpoint {path}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile, ValueError) as error:
        raise SettingError(
            f"{path} is not a whole checkpoint of tensors and plain data, so it is not loaded"
        ) from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise SettingError(f"{path} is not a checkpoint of a run: it has no weights")
    return content


def load_state(model: LightningModule, path: Path) -> dict[str, Any]:
    """A checkpoint that a run can go on from.

    Raises:
        SettingError: no whole checkpoint, one of another network, or one that holds weights alone.
    """
    content = load(path)
    check_fits(model, content["state_dict"], path)
    if "loops" not in content or "optimizer_states" not in content:
        raise SettingError(f"{path} holds weights alone, so a run cannot go on from it")
    return content


def load_weights(model: LightningModule, path: Path) -> int:
    """Put a checkpoint's weights into a network; returns the number of epochs they were trained for.

    Raises:
        SettingError: no whole checkpoint, or one of another network.
    """
    content = load(path)
    check_fits(model, content["state_dict"], path)
    model.load_state_dict(content["state_dict"])
    epoch: int = content["epoch"]
    return epoch + 1


def check_fits(model: LightningModule, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Refuse weights of other names or shapes than the network's.

    Raises:
        SettingError: naming the first weight that differs.
    """
    own = model.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        shapes = [tuple(state[name].shape) if name in state else None for state in (own, weights)]
        if shapes[0] != shapes[1]:
            raise SettingError(
                f"{path} holds another network than {type(model).__name__} as configured:"
                f" {name} is {shapes[1]} there and {shapes[0]} here"
            )


class Checkpoints(Checkpoint):
    """last.ckpt after every epoch, every `every_minutes` and on a signal; best.ckpt when the objective improves.

    The random state of torch is kept too, so that a resumed run goes on as if it had never stopped.
    """

    def __init__(
        self,
        folder: Path,
        recorder: Recorder,
        signals: StopSignals,
        *,
        objective: str = "val/acc",
        select: bool = True,
        every_minutes: float = 10.0,
    ) -> None:
        self.folder, self.recorder, self.objective, self.select = folder, recorder, objective, select
        self.every_seconds, self.signals = 60 * every_minutes, signals
        self.best: float | None = None
        self.best_epoch: int | None = None  # counted from 1
        self._random: dict[str, Any] = {}
        self._saved_at = time.monotonic()

    @property
    def last_path(self) -> Path:
        """The state to go on from."""
        return self.folder / "last.ckpt"

    @property
    def best_path(self) -> Path:
        """The weights with the best objective."""
        return self.folder / "best.ckpt"

    def is_better(self, value: float) -> bool:
        """Whether the objective is as good as it ever was; of equal epochs the later one has learned more."""
        if not math.isfinite(value) or self.best is None:
            return math.isfinite(value)
        return value <= self.best if lower_is_better(self.objective) else value >= self.best

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the folder."""
        self.folder.mkdir(exist_ok=True)
        self._saved_at = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up the random state of the checkpoint, after everything else that might draw."""
        if self._random:
            torch.set_rng_state(self._random["cpu"])
            if torch.cuda.is_available() and self._random["cuda"]:
                torch.cuda.set_rng_state_all(self._random["cuda"])
            self._random = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save in the middle of an epoch when it is time or a signal came; the end of an epoch is saved anyway."""
        stop = any_rank(trainer, self.signals.received is not None)
        late = any_rank(trainer, time.monotonic() - self._saved_at > self.every_seconds)
        if (stop or late) and batch_idx + 1 < trainer.num_training_batches:
            self._save_last(trainer, pl_module)
            if stop:
                self._stop()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch, and its weights too where the objective improved."""
        row = self.recorder.rows[-1]
        if not math.isfinite(row.get("val/loss", 0.0)):
            raise TrainingError(diverged(f"validation loss became {row['val/loss']}", trainer.global_step))
        self._refuse_diverged(trainer, pl_module)
        value = row.get(self.objective)
        if self.select and value is not None and self.is_better(value):
            self.best, self.best_epoch = value, trainer.current_epoch + 1
            trainer.save_checkpoint(self.best_path, weights_only=True)
        self._save_last(trainer, pl_module)
        if any_rank(trainer, self.signals.received is not None):
            self._stop()

    def _save_last(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._refuse_diverged(trainer, pl_module)
        trainer.save_checkpoint(self.last_path, weights_only=False)
        self._saved_at = time.monotonic()

    def _stop(self) -> None:
        """Stop this process, also where only another one was told to."""
        raise Interrupted(self.signals.received or signal.SIGTERM)

    def _refuse_diverged(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Never write over a good checkpoint with weights that are not finite."""
        assert isinstance(pl_module, Classifier)
        pl_module.watch_loss()
        if not torch.stack([weight.isfinite().all() for weight in pl_module.parameters()]).all():
            raise TrainingError(diverged("weights are not finite", trainer.global_step))

    def state_dict(self) -> dict[str, Any]:
        """The best so far, and where torch's random numbers stand."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "random": {"cpu": torch.get_rng_state(), "cuda": cuda},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the state of a checkpoint."""
        self.best, self.best_epoch, self._random = state_dict["best"], state_dict["best_epoch"], state_dict["random"]


def any_rank(trainer: Trainer, mine: bool) -> bool:
    """Whether any process says yes, so that all do the same."""
    if trainer.world_size == 1:
        return mine
    decide: Callable[..., bool] = trainer.strategy.reduce_boolean_decision
    return decide(mine, all=False)
