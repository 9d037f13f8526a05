"""Ends a trial of a search early when its validation is hopeless beside that of the others."""

import logging

import optuna
from hydra.core.hydra_config import HydraConfig
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from labbook.callbacks.epoch_recorder import Recorder
from labbook.runs.run_folder import RunFolder
from labbook.runs.sweep_folder import STUDY

log = logging.getLogger("labbook")


class Pruning(Checkpoint):
    """Reports the objective of every epoch to the study, and stops when its pruner says so (the median rule).

    It derives from Lightning's `Checkpoint`, as the `Recorder` does, to come after it.
    """

    def __init__(self, run: RunFolder, recorder: Recorder, number: int, objective: str) -> None:
        self.run, self.recorder, self.objective = run, recorder, objective
        self.trial = trial_of(HydraConfig.get().sweeper.storage, number)
        self.reported = 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report what is new; of a run that was resumed, also the epochs before."""
        for row in self.recorder.rows[self.reported :]:
            value = row.get(self.objective)
            if value is not None:
                self.trial.report(value, int(row["epoch"]))
        self.reported = len(self.recorder.rows)
        if self.reported < (trainer.max_epochs or 0) and self.trial.should_prune():
            log.info("ended after epoch %d: hopeless beside the other trials", self.reported)
            self.run.pruned = True
            trainer.should_stop = True


def trial_of(storage: str, number: int) -> optuna.trial.Trial:
    """A running trial, as the run that does it needs it."""
    study = optuna.load_study(study_name=STUDY, storage=storage)
    trial_id = study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    return optuna.trial.Trial(study, trial_id)
