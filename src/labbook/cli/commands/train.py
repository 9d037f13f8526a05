"""Train an image classifier: `python train.py --help` lists options and settings."""

from typing import TYPE_CHECKING, NoReturn

import hydra
from omegaconf import DictConfig

from labbook import lazy_imports
from labbook.cli import command_line
from labbook.installation import CONFIGS

if TYPE_CHECKING:
    from labbook.runs.run_folder import RunFolder


def train_run(config: DictConfig) -> "RunFolder":
    """Build, train and test one run. Returns its folder."""
    with lazy_imports.import_torch_stack():  # takes seconds, which an error need not wait for
        from labbook import fit
        from labbook import trainer as trainers
        from labbook.callbacks import run_description
        from labbook.inference.evaluate import final_test
        from labbook.runs import run_session
        from labbook.training import threads

    data, model, choice, loaded = fit.prepare(config)
    with run_session.open_run(config) as run:
        threads.use_threads(run, choice)
        run_description.describe_run(run.folder, model, data, choice, loaded)
        trainer = trainers.build_trainer(config, choice, run, model, data)
        fit.fit_model(trainer, model, data, run, choice.channels_last, config.compile)
        metrics = final_test.run_final_test(trainer, model, data, config)
        run.folder.finish(metrics)
        run_description.describe_result(config, metrics)
    return run.folder


@hydra.main(config_path=str(CONFIGS), config_name="train", execution_whitelist=command_line.allowed_targets())
@command_line.run_task
def main(config: DictConfig) -> float:
    """The task of Hydra: one run. Returns its objective."""
    return float(train_run(config).metrics["objective"])


def command() -> NoReturn:
    command_line.run_command_line(main)
