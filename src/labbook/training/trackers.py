"""Runs in Weights & Biases and MLflow: one per run folder, with its name, also after a resume."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pytorch_lightning.loggers import Logger, MLFlowLogger, WandbLogger

from labbook.runs.run_folder import RunFolder
from labbook.runs.run_session import RunSession

TRACKED = "tracked_as"  # key in metrics.json for the names of the run in trackers
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


def tracker_key(target: Any, node: Mapping[str, Any]) -> str:
    """A key for where a logger keeps its runs; empty for other loggers."""
    if isinstance(target, type) and issubclass(target, WandbLogger):
        return f"wandb {node.get('project')}"
    if isinstance(target, type) and issubclass(target, MLFlowLogger):
        return f"mlflow {node.get('tracking_uri')}"
    return ""


def tracker_options(target: Any, node: Mapping[str, Any], run: RunFolder) -> dict[str, Any]:
    """Arguments that give a logger the run's name, and its earlier ID there after a resume."""
    place = tracker_key(target, node)
    if not place:
        return {}
    names = ("run_name", "run_id") if place.startswith("mlflow") else ("name", "id")
    known = run.metrics.get(TRACKED)
    before = known.get(place) if isinstance(known, dict) else None
    found = dict(zip(names, (run.path.resolve().name, before), strict=True))
    return {name: value for name, value in found.items() if isinstance(value, str) and not node.get(name)}


def connect_tracker(logger: Logger, node: Mapping[str, Any], run: RunSession) -> None:
    """Start or resume the tracker's run before training, and note its name in metrics.json.

    Errors of a tracker that cannot be reached are raised.
    """
    place = tracker_key(type(logger), node)
    if not (place and run.folder.leads):
        return
    with few_retries():
        name = logger.run_id if isinstance(logger, MLFlowLogger) else logger.experiment.id  # type: ignore[attr-defined]
    if isinstance(logger, WandbLogger):
        run.closing.callback(logger.experiment.finish)  # or the next run of a sweep would use this one
    known = run.folder.metrics.get(TRACKED)
    run.folder.record({TRACKED: {**(known if isinstance(known, dict) else {}), place: str(name)}}, "running")


@contextmanager
def few_retries() -> Iterator[None]:
    """Within this context, MLflow gives up on a server after seconds instead of four minutes."""
    if RETRIES in os.environ:
        yield
        return
    os.environ[RETRIES] = "1"
    try:
        yield
    finally:
        del os.environ[RETRIES]


def log_settings(logger: Logger, settings: Mapping[str, Any]) -> None:
    """Log the settings of a run. MLflow keeps old values, so changed settings become tags."""
    new = dict(settings)
    if isinstance(logger, MLFlowLogger):
        client, run = logger.experiment, str(logger.run_id)
        known = client.get_run(run).data.params
        for name in known.keys() & settings.keys():
            if known[name] != str(new.pop(name)):
                client.set_tag(run, name, str(settings[name]))
    logger.log_hyperparams(new)
