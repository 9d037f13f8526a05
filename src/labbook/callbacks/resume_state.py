"""The part of a checkpoint that Lightning does not save, so that a resumed run gets the same bits."""

import logging
from functools import partial
from typing import Any

from pytorch_lightning import Trainer
from torch import Tensor

from labbook.data.randomness import get_rng_states, set_rng_states
from labbook.errors import SettingError
from labbook.training import capabilities
from labbook.training.checkpoint_io import epochs_done
from labbook.training.lightning_internals import (
    forget_restored,
    logged_in_epoch,
    restart_epoch,
    restore_logged,
)
from labbook.training.processes import every_rank

log = logging.getLogger("labbook")

# Printed by a run with a user's own loaders, by whether they resume within an epoch.
RESUMES = {
    False: "own DataLoader without state_dict: a stopped run is resumed after its last whole epoch, not within one",
    True: "own DataLoader with state_dict: a stopped run resumes inside its epoch",
}

# The position of the validation in Lightning's checkpoints.
VALIDATION = "epoch_loop.val_loop.batch_progress"


class ResumeState:
    """The random states of all processes; an interrupted validation is repeated."""

    def __init__(self) -> None:
        self.within_epoch = True  # the run was resumed within an epoch
        self.validating = False  # the checkpoint is saved during validation
        self._before_validation: dict[str, Tensor] = {}  # random states: validation loaders may use random numbers
        self._restored: dict[str, list[Tensor]] = {}  # random states of a checkpoint by kind and rank
        self._logged: dict[str, Any] = {}  # what the interrupted epoch had logged
        self._between_epochs = False  # the checkpoint was saved at the end of an epoch
        self._batches: float | None = None  # in an epoch of the interrupted run, for each process

    def end_training_steps(self, trainer: Trainer) -> None:
        self._before_validation = get_rng_states(trainer.strategy.root_device)

    def add_to(self, checkpoint: dict[str, Any], trainer: Trainer) -> None:
        """Add the random states; during validation, those before it."""
        states = self._before_validation if self.validating else get_rng_states(trainer.strategy.root_device)
        checkpoint["random"] = {kind: every_rank(trainer, state) for kind, state in states.items()}
        checkpoint["batches_per_epoch"] = float(trainer.num_training_batches)
        if checkpoint["epoch"] + 1 != epochs_done(checkpoint):
            checkpoint["logged"] = logged_in_epoch(trainer)
        if self.validating:
            # As if the validation had stopped in its first batch: Lightning then starts it again.
            progress = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            checkpoint["loops"]["fit_loop"][VALIDATION] |= {"total": dict(progress), "current": dict(progress)}

    def load(self, checkpoint: dict[str, Any], trainer: Trainer) -> None:
        """Keep the random states until the training starts; warn if the number of processes changed."""
        self._restored, self._logged = checkpoint["random"], checkpoint.get("logged", {})
        self._batches = checkpoint.get("batches_per_epoch")
        self._between_epochs = checkpoint["epoch"] + 1 == epochs_done(checkpoint)
        were, are = len(self._restored["cpu"]), trainer.world_size
        if were != are:
            log.warning(
                "this run was trained by %d processes and is resumed with %d: augmentation and dropout"
                " use other random numbers, so the metrics will differ",
                *(were, are),
            )

    def restore(self, trainer: Trainer) -> None:
        """Set the random state of the checkpoint, and check whether a user's loaders resume within an epoch."""
        if self._batches not in (None, float(trainer.num_training_batches)):
            raise SettingError(
                f"each process had {self._batches:g} batches in an epoch and now has {trainer.num_training_batches:g}:"
                " resume the run with the same data and trainer.devices, or start a new one"
            )
        loaders = capabilities.own_loaders(trainer.train_dataloader)
        self.within_epoch = capabilities.resumes_within_epoch(loaders)
        if loaders and trainer.is_global_zero:
            log.info("%s", RESUMES[self.within_epoch])
        if loaders and self._restored and self._between_epochs:
            restart_epoch(trainer, partial(self._restore_random_state, trainer))
        else:
            self._restore_random_state(trainer)
        restore_logged(trainer, trainer.lightning_module, self._logged)
        self._restored = {}

    def end_epoch(self, trainer: Trainer) -> None:
        if self._logged:
            self._logged = {}
            forget_restored(trainer)

    def _restore_random_state(self, trainer: Trainer) -> None:
        rank = trainer.global_rank
        if self._restored and rank < len(self._restored["cpu"]):
            # Each is a copy: torch crashes with a view of a larger tensor.
            states = {kind: of_ranks[rank].clone() for kind, of_ranks in self._restored.items()}
            set_rng_states(states, trainer.strategy.root_device)
