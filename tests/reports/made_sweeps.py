"""Sweeps for reports, made without training."""

import copy
import json
from pathlib import Path
from typing import Any

import yaml

from labbook.reports.grouping import Report, group_runs
from labbook.reports.read_runs import RunRecord, SweepRecord

SETTINGS: dict[str, Any] = {
    "model": {"_target_": "labbook.models.mlp.MLP", "depth": 1, "activation": "relu"},
    "data": {"batch_size": 64, "validation": "split", "root": "data"},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001},
    "logger": {"_target_": "labbook.loggers.TensorBoard"},
    "seed": 0,
    "seeds": 1,
    "epochs": 3,
    "published": None,
    "config_groups": {"model": "mlp", "data": "digits", "optimizer": "adam", "logger": "tensorboard"},
}

SWEPT = {"model.depth": (1, 2, 4), "model.activation": ("relu", "sigmoid")}


def config_of(settings: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration: `optimizer.lr` is a setting, `optimizer` a choice."""
    config = copy.deepcopy(SETTINGS)
    for name, value in settings.items():
        *parents, last = ["config_groups", name] if name in config["config_groups"] else name.split(".")
        node = config
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return config


def figures_of(accuracy: float, **others: Any) -> dict[str, Any]:
    """The metrics.json of a finished run."""
    final = {"val/acc": accuracy, "test/acc": accuracy - 0.01, "train/acc": accuracy + 0.01, "val/loss": 1 - accuracy}
    made = {"train_seconds": 10.0, "images_per_second": 5000.0, "objective": accuracy, "device": "cpu"}
    matrix = {"class_names": ["cat", "dog"], "test/confusion_matrix": [[9, 1], [3, 7]]}
    return final | made | matrix | {"precision": "32-true", "status": "finished", "code_version": "1.0"} | others


def table_of(accuracy: float, epochs: int = 3, layers: int = 0) -> str:
    """The metrics.csv of a run."""
    names = [f"gradient/layers.{layer}" for layer in range(layers)]
    lines = [",".join(["epoch", "train/acc", "train/loss", "val/acc", "val/loss", *names])]
    for epoch in range(1, epochs + 1):
        right = accuracy * epoch / epochs
        norms = [0.1 ** (layers - layer) for layer in range(layers)]
        lines.append(",".join(map(str, [epoch, right, 1 - right, right, 1.1 - right, *norms])))
    return "\n".join(lines) + "\n"


def add_run(
    sweep: Path, name: str, settings: dict[str, Any], metrics: dict[str, Any] | None = None, table: str = ""
) -> Path:
    """Write a run's folder into a sweep's."""
    folder = sweep / name
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"# python train.py\n{yaml.safe_dump(config_of(settings), sort_keys=False)}")
    if metrics is not None:
        (folder / "metrics.json").write_text(json.dumps(metrics))
    if table:
        (folder / "metrics.csv").write_text(table)
    return folder


def mark(sweep: Path, over: list[str], objective: str = "val/acc") -> Path:
    """Make a folder one of a sweep."""
    sweep.mkdir(parents=True, exist_ok=True)
    content = {"made_by": "labbook", "over": over, "commands": ["python train.py -m a=1,2"], "objective": objective}
    (sweep / "sweep.json").write_text(json.dumps(content))
    return sweep


def make_grid(folder: Path) -> Path:
    """Depth by activation over two seeds, with gradients and published figures; one run failed."""
    sweep = mark(folder / "grid", list(SWEPT))
    final = {"val/acc": 0.9, "train_seconds": 12.5}
    theirs = [{"system": "E3", "where": {"model.depth": 2, "model.activation": "relu"}, "final": final}]
    for depth in SWEPT["model.depth"]:
        for activation in SWEPT["model.activation"]:
            for seed in (0, 1):
                settings = {"model.depth": depth, "model.activation": activation, "seed": seed, "published": theirs}
                right = 0.8 + 0.02 * int(depth) + 0.01 * seed - (0.1 if activation == "sigmoid" else 0)
                table = table_of(right, layers=int(depth) + 1)
                add_run(sweep, f"{depth}_{activation}_{seed}", settings, figures_of(right, seed=seed), table)
    failed = {"status": "failed", "reason": "TrainingError: the loss became nan\nand more", "code_version": "1.0"}
    (sweep / "4_sigmoid_1" / "metrics.json").write_text(json.dumps(failed))
    return sweep


def in_memory(runs: list[tuple[dict[str, Any], dict[str, Any]]], over: list[str], objective: str = "val/acc") -> Report:
    """The report of runs that are nowhere on disk, given as settings and metrics."""
    made = [
        RunRecord(
            Path(f"run{number}"), metrics.get("status", "finished"), config_of(settings), metrics, {}, 1.0, number + 2.0
        )
        for number, (settings, metrics) in enumerate(runs)
    ]
    return group_runs(SweepRecord(Path("sweep"), tuple(over), (), objective, 0, tuple(made)))
