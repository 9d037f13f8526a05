"""Runs in Weights & Biases and MLflow: one for each run folder, however often that is resumed, and named like it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pytorch_lightning.loggers import Logger, MLFlowLogger, WandbLogger

from labbook.runs.run_folder import RunFolder
from labbook.runs.run_session import RunSession

TRACKED = "tracked_as"  # under which metrics.json has the names that trackers know the run by
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


def tracker_key(target: Any, node: Mapping[str, Any]) -> str:
    """Where a logger keeps its runs, as a key for their names there; empty for one that has no such names."""
    if isinstance(target, type) and issubclass(target, WandbLogger):
        return f"wandb {node.get('project')}"
    if isinstance(target, type) and issubclass(target, MLFlowLogger):
        return f"mlflow {node.get('tracking_uri')}"
    return ""


def tracker_options(target: Any, node: Mapping[str, Any], run: RunFolder) -> dict[str, Any]:
    """Arguments that give a logger the run's name, and the one that it had there before it was resumed."""
    place = tracker_key(target, node)
    if not place:
        return {}
    names = ("run_name", "run_id") if place.startswith("mlflow") else ("name", "id")
    known = run.metrics.get(TRACKED)
    before = known.get(place) if isinstance(known, dict) else None
    found = dict(zip(names, (run.path.resolve().name, before), strict=True))
    return {name: value for name, value in found.items() if isinstance(value, str) and not node.get(name)}


def connect_tracker(logger: Logger, node: Mapping[str, Any], run: RunSession) -> None:
    """Begin the run there, or go on with it, before the training begins; and note its name in metrics.json.

    What a tracker that cannot be reached raises, comes through.
    """
    place = tracker_key(type(logger), node)
    if not (place and run.folder.leads):
        return
    with few_retries():
        name = logger.run_id if isinstance(logger, MLFlowLogger) else logger.experiment.id  # type: ignore[attr-defined]
    if isinstance(logger, WandbLogger):
        run.closing.callback(logger.experiment.finish)  # or the next run of a sweep would go on with this
    known = run.folder.metrics.get(TRACKED)
    run.folder.record({TRACKED: {**(known if isinstance(known, dict) else {}), place: str(name)}}, "running")


@contextmanager
def few_retries() -> Iterator[None]:
    """Within this MLflow gives a server up after seconds; by default it tries for four minutes."""
    if RETRIES in os.environ:
        yield
        return
    os.environ[RETRIES] = "1"
    try:
        yield
    finally:
        del os.environ[RETRIES]


def log_settings(logger: Logger, settings: Mapping[str, Any]) -> None:
    """Give a logger the settings of a run; those that MLflow has with other values, which it keeps, become tags."""
    new = dict(settings)
    if isinstance(logger, MLFlowLogger):
        client, run = logger.experiment, str(logger.run_id)
        known = client.get_run(run).data.params
        for name in known.keys() & settings.keys():
            if known[name] != str(new.pop(name)):
                client.set_tag(run, name, str(settings[name]))
    logger.log_hyperparams(new)
