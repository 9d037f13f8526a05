"""The configuration of a run that is opened again, checked, and the kind of the run."""

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

# Settings that only training uses, and their values when a network is opened.
UNUSED: dict[str, Any] = {
    "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 1.0},
    "scheduler": None,
    "logger": None,
    "callbacks": None,
    "data.augment": [],
    "data.sampler": None,
}
# Settings of the trainer that a test uses.
TESTING = ("_target_", "accelerator", "devices", "num_nodes", "precision", "deterministic", "limit_test_batches")


def complete_run_config(path: Path, config: DictConfig) -> DictConfig:
    """A run's configuration with all settings of this version.

    Settings that only training uses are removed if they would be refused.
    """
    config = with_schema_types(config, f"{path}/{CONFIG}")  # a run of an older version lacks settings
    try:
        experiment.check_experiment(config)
    except UntrainableError:
        config = without_training(config, read_run_config(path))
        experiment.check_experiment(config)
    return config


def without_training(config: DictConfig, trained: DictConfig) -> DictConfig:
    """The configuration without settings that only training uses; those that the user changed stay, to be checked."""
    kept = config.copy()
    for name, unused in UNUSED.items():
        if OmegaConf.select(config, name) == OmegaConf.select(trained, name):
            OmegaConf.update(kept, name, unused, merge=False)
    for name in set(config.trainer) - set(TESTING):
        if config.trainer[name] == trained.trainer.get(name):
            del kept.trainer[name]
    return kept


def types_of_run(config: DictConfig) -> tuple[type | None, type | None]:
    """The classes of a run's model and of its data; None if they are not known. The data can be missing."""
    model, data = (
        return_type(instantiate.resolve_target(config[group]._target_, group)) for group in ("model", "data")
    )
    return model, data


def is_classification_run(config: DictConfig) -> bool:
    model, data = types_of_run(config)
    return capabilities.is_classifier_type(model) and capabilities.is_image_data_type(data)


def check_classification(config: DictConfig, purpose: str) -> None:
    """Refuse a run of another kind; `purpose` is what needs it, such as "predict"."""
    model, data = types_of_run(config)
    capabilities.require_classifier_type(model, purpose)
    capabilities.require_image_data_type(data, purpose)
