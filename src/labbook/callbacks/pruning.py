"""End a trial of a search early if its validation is much worse than that of other trials."""

import logging
from collections.abc import Sequence

import optuna
from hydra.core.hydra_config import HydraConfig
from pytorch_lightning import Trainer

from labbook.runs.run_folder import RunFolder
from labbook.runs.sweep_folder import STUDY
from labbook.training.epoch_rows import Row

log = logging.getLogger("labbook")


class OptunaPruning:
    """Reports the objective of each epoch to the study, and stops when its pruner says so (the median rule)."""

    def __init__(self, run: RunFolder, number: int, objective: str) -> None:
        self.run, self.objective = run, objective
        self.trial = running_trial(HydraConfig.get().sweeper.storage, number)
        self.reported = 0

    def report(self, trainer: Trainer, rows: Sequence[Row]) -> None:
        for row in rows[self.reported :]:
            value = row.get(self.objective)
            if value is not None:
                self.trial.report(value, int(row["epoch"]))
        self.reported = len(rows)
        if self.reported < (trainer.max_epochs or 0) and self.trial.should_prune():
            log.info("ended after epoch %d: worse than the median of the other trials", self.reported)
            self.run.pruned = True
            trainer.should_stop = True


def running_trial(storage: str, number: int) -> optuna.trial.Trial:
    trials = optuna.storages.get_storage(storage)
    trial_id = trials.get_trial_id_from_study_id_trial_number(trials.get_study_id_from_name(STUDY), number)
    return optuna.trial.Trial(optuna.load_study(study_name=STUDY, storage=trials), trial_id)
