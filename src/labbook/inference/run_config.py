"""The configuration of a run that is opened again: checked anew, and what kind of run it is."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from labbook import experiment
from labbook.config import instantiate
from labbook.config.schema import with_schema_types
from labbook.config.target_rules import return_type
from labbook.errors import UntrainableError
from labbook.runs.resume import read_run_config
from labbook.runs.run_folder import CONFIG
from labbook.training import capabilities

# Settings that only a training acts upon, and what stands for them when a network is opened.
UNUSED: dict[str, Any] = {
    "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 1.0},
    "scheduler": None,
    "logger": None,
    "callbacks": None,
    "data.augment": [],
    "data.sampler": None,
}
# Settings of the trainer that a test acts upon.
TESTING = ("_target_", "accelerator", "devices", "num_nodes", "precision", "deterministic", "limit_test_batches")


def complete_run_config(path: Path, config: DictConfig) -> DictConfig:
    """A run's configuration with all settings that there are today.

    What only its training used is left out where it would be refused today.
    """
    config = with_schema_types(config, f"{path}/{CONFIG}")  # that of an older run lacks what was not yet a setting
    try:
        experiment.check_experiment(config)
    except UntrainableError:
        config = without_training(config, read_run_config(path))
        experiment.check_experiment(config)
    return config


def without_training(config: DictConfig, trained: DictConfig) -> DictConfig:
    """The configuration of a network without what only its training used and would be refused today.

    What differs from that of the `trained` run was typed, and stays, to be checked.
    """
    kept = config.copy()
    for name, unused in UNUSED.items():
        if OmegaConf.select(config, name) == OmegaConf.select(trained, name):
            OmegaConf.update(kept, name, unused, merge=False)
    for name in set(config.trainer) - set(TESTING):
        if config.trainer[name] == trained.trainer.get(name):
            del kept.trainer[name]
    return kept


def types_of_run(config: DictConfig) -> tuple[type | None, type | None]:
    """What a run's model and its data are made of, though these themselves need not be there."""
    model, data = (
        return_type(instantiate.resolve_target(config[group]._target_, group)) for group in ("model", "data")
    )
    return model, data


def is_classification_run(config: DictConfig) -> bool:
    """Whether a run's model is a classifier, and its data one set of labelled images."""
    model, data = types_of_run(config)
    return capabilities.is_classifier_type(model) and capabilities.is_image_data_type(data)


def check_classification(config: DictConfig, purpose: str) -> None:
    """Refuse a run of another kind, where `purpose`, such as "predict", needs one of classification."""
    model, data = types_of_run(config)
    capabilities.require_classifier_type(model, purpose)
    capabilities.require_image_data_type(data, purpose)
