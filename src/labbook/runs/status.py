"""The state of a run, from its folder. Imports no torch."""

import math
from pathlib import Path
from typing import Any, Literal

from labbook.files import is_folder_locked
from labbook.runs import locks
from labbook.runs.run_folder import METRICS, read_metrics

WITH_FIGURES = ("finished", "pruned")

State = Literal["new", "running", "interrupted", "failed", "finished", "pruned", "damaged"]


def state_of(run: Path) -> tuple[State, dict[str, Any]]:
    """The state of a run, and its metrics.json. A killed run is interrupted, whatever its metrics.json says."""
    metrics = read_metrics(run)
    status = metrics.get("status")
    if status in WITH_FIGURES and not _figure(metrics.get("objective")):
        return "damaged", metrics
    if status in (*WITH_FIGURES, "failed", "interrupted"):
        return status, metrics
    if status == "running":
        run = run.absolute()
        return (
            "running" if is_folder_locked(run) or locks.lock_owner(run.parent, run.name) else "interrupted"
        ), metrics
    return ("damaged" if (run / METRICS).exists() else "new"), metrics


def unfinished_notes(run: Path) -> list[str]:
    """Notes on a run whose network is used before its training is finished."""
    state, metrics = state_of(run)
    if metrics.get("status") == "finished":
        return []
    known = metrics.get("status", "unknown") if state in ("damaged", "new") else state
    return [f"the run is not finished ({known}): its last checkpoint is used"]


def _figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
