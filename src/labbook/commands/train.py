"""Train an image classifier: `python train.py --help` tells what there is to choose."""

from typing import NoReturn

import hydra
from omegaconf import DictConfig

from labbook import cli, importing


@hydra.main(config_path=str(cli.CONFIGS), config_name="train", execution_whitelist=cli.allowed_targets())
@cli.job
def main(config: DictConfig) -> float:
    """One run: build, fit, report. Returns the figure that a sweep compares runs by."""
    with importing.heavy():  # takes seconds, which a refusal need not wait for
        from labbook import capabilities, describing, hardware, runs, training
        from labbook.evaluation import final

    training.check(config)
    data = training.build_data(config)
    model = training.build_model(config, capabilities.spec_of(data))
    training.build_metrics(config, model)  # refuses those that cannot judge these classes
    choice = hardware.here(config, model)
    training.set_up(data)

    with runs.open_run(config) as run:
        describing.introduce(run, model, data, choice)
        trainer = training.build_trainer(config, choice, run, model, data)
        training.fit(trainer, model, data, run, choice.channels_last, config.compile)
        metrics = final.evaluate(trainer, model, data, config)
        run.finish(metrics)
    return float(metrics["objective"])


def command() -> NoReturn:
    """Train as the command line says."""
    cli.command_line(main)
