"""The same training in PyTorch, by this program, and in Keras: test accuracy and time by epoch."""

import json
import statistics
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from labbook import experiment
from labbook.callbacks.epoch_end import epoch_end_of
from labbook.callbacks.run_description import introduce
from labbook.config import instantiate
from labbook.config.compose import compose_config
from labbook.errors import SettingError, list_choices
from labbook.runs import run_folder
from labbook.training.schedulers import constant
from tools.benchmark import keras_process
from tools.benchmark.cases import scratch
from tools.benchmark.contenders import prepared
from tools.benchmark.keras_model import layers_of, pictures
from tools.benchmark.keras_process import Epoch
from tools.results.keras_table import COLUMNS

# TensorFlow as it is installed trains on the CPU and in 32 bits; others may be asked for and are refused.
BASE = ("trainer.accelerator=cpu", "trainer.precision=32")

# Settings that Keras has no like of, and the values that say nothing to it.
ALIKE: dict[str, tuple[Any, ...]] = {
    "data.augment": ([],),
    "data.drop_last": (False,),
    "task.label_smoothing": (0.0,),
    "task.mixup": (0.0,),
    "task.cutmix": (0.0,),
    "task.sam": (0.0,),
    "task.norm_bias_lr_factor": (1.0,),
    "task.layer_lr_decay": (1.0,),
    "task.backbone_lr_factor": (1.0,),
    "task.tta": ("none",),
    "callbacks.early_stopping": (None,),
    "callbacks.ema": (None,),
    "callbacks.lookahead": (None,),
    "trainer.accelerator": ("cpu",),
    "trainer.precision": (32, "32", "32-true"),
    "trainer.devices": (1, "auto"),
    "trainer.strategy": ("auto",),
    "trainer.gradient_clip_val": (None, 0),
    "trainer.accumulate_grad_batches": (1,),
    "trainer.limit_train_batches": (None, 1.0),
    "trainer.limit_val_batches": (None, 1.0),
    "trainer.check_val_every_n_epoch": (1,),
    "resume": (None,),
}

# The optimizers that both have by the same name, and how Keras calls their settings.
OPTIMIZERS: dict[type[Optimizer], dict[str, str]] = {
    SGD: {"momentum": "momentum", "nesterov": "nesterov"},
    Adam: {"eps": "epsilon", "amsgrad": "amsgrad"},
    AdamW: {"eps": "epsilon", "amsgrad": "amsgrad", "weight_decay": "weight_decay"},
    RMSprop: {"alpha": "rho", "eps": "epsilon", "momentum": "momentum", "centered": "centered"},
}


@dataclass(frozen=True)
class Pair:
    """The epochs of one training in both frameworks, from the same weights."""

    ours: list[Epoch]
    keras: list[Epoch]


def both(settings: Sequence[str], seed: int | None = None) -> Pair:
    """Train what a command line of train.py describes in both frameworks, one after the other.

    Raises:
        SettingError: settings that Keras cannot be given alike.
    """
    seeds = [] if seed is None else [f"seed={seed}"]
    with scratch() as folder, redirect_stdout(StringIO()):
        config = compose_config(*BASE, *settings, *seeds, f"log_dir={folder}")
        experiment.check(config)
        check(config)
        optimizer = keras_optimizer(config.optimizer)
        choice, data, model = prepared(config)
        # Both are tested after every epoch; what they train on stays as it was divided.
        data.validation, data.rows["val"] = "test", data.rows["test"]
        asked = keras_process.Training(
            layers_of(model),
            pictures(data.parts["train"], data.spec, data.rows["train"]),
            optimizer,
            data.batch_size,
            epochs=config.epochs,
            shuffle=data.shuffle,
            seed=config.seed,
        )
        with run_folder.open_run(config) as run:
            introduce(run, model, data, choice)
            trainer = experiment.build_trainer(config, choice, run, model, data)
            experiment.fit(trainer, model, data, run, choice.channels_last, config.compile)
        recorder = epoch_end_of(trainer).recorder
        ours = [Epoch(row["val/acc"], row["images"] / row["images_per_second"]) for row in recorder.rows]
        return Pair(ours, keras_process.process().ask("epochs", asked, pictures(data.parts["test"], data.spec)))


def check(config: DictConfig) -> None:
    """Refuse what the two frameworks would not do alike, before any of them trains.

    Raises:
        SettingError: naming the setting and the value that goes with both.
    """
    for name, alike in ALIKE.items():
        value = OmegaConf.select(config, name)
        if value not in alike:
            raise SettingError(f"{name}={value} cannot be given to Keras alike: use {name}={word(alike[0])}")
    target = f"{constant.__module__}.{constant.__qualname__}"
    if config.scheduler and (config.scheduler._target_ != target or config.scheduler.get("warmup_epochs")):
        raise SettingError("a schedule cannot be given to Keras alike: use scheduler=none")
    keras_process.process()  # refuses where there is no TensorFlow


def word(value: Any) -> str:
    """A value as the command line has it."""
    return json.dumps(value).strip('"')


def keras_optimizer(node: DictConfig) -> tuple[str, dict[str, Any]]:
    """The class in `keras.optimizers`, and the settings, that do what a node of the group `optimizer` does.

    Raises:
        SettingError: an optimizer or a setting of it that Keras does not have.
    """
    made = instantiate.build_object(node)([torch.zeros(1)])
    if type(made) not in OPTIMIZERS:
        known = list_choices(type(made).__name__, (kind.__name__ for kind in OPTIMIZERS))
        raise SettingError(f"optimizer {node._target_} has no like in Keras; {known}")
    names = OPTIMIZERS[type(made)]
    settings = {"learning_rate": made.defaults["lr"]}
    for key, value in made.defaults.items():
        if key in names:
            settings[names[key]] = value
        elif key == "betas":
            settings["beta_1"], settings["beta_2"] = value
        elif key in ("weight_decay", "dampening", "maximize") and value:
            raise SettingError(
                f"optimizer.{key}={value} does something else in Keras: use optimizer.{key}={type(value)()}"
            )
    return type(made).__name__, settings


def lines(pairs: Sequence[Pair]) -> list[tuple[str, ...]]:
    """A row for each epoch: its number, test accuracy of ours and of Keras, seconds of both; then one for them all.

    Of several pairs, the mean and in brackets the least and the most.
    """
    rows = []
    for epoch, (ours, keras) in enumerate(zip(by_epoch(pairs, "ours"), by_epoch(pairs, "keras"), strict=True), start=1):
        rows.append((str(epoch), *figures([ours, keras])))
    all_ours, all_keras = ([total(getattr(pair, name)) for pair in pairs] for name in ("ours", "keras"))
    return [*rows, ("all", *figures([all_ours, all_keras]))]


def as_csv(pairs: Sequence[Pair], first_seed: int) -> str:
    """A row for every epoch of every seed, for `tools.results.keras_table`."""
    rows = [",".join(COLUMNS)]
    for seed, pair in enumerate(pairs, first_seed):
        for epoch, (ours, keras) in enumerate(zip(pair.ours, pair.keras, strict=True), 1):
            figures = (ours.test_acc, keras.test_acc, ours.seconds, keras.seconds)
            rows.append(",".join([str(seed), str(epoch), *(f"{figure:.6g}" for figure in figures)]))
    return "\n".join(rows) + "\n"


def by_epoch(pairs: Sequence[Pair], name: str) -> list[tuple[Epoch, ...]]:
    """The epochs of one framework: for each, those of all pairs."""
    return list(zip(*(getattr(pair, name) for pair in pairs), strict=True))


def total(epochs: Sequence[Epoch]) -> Epoch:
    """All epochs as one: the last accuracy, and the seconds together."""
    return Epoch(epochs[-1].test_acc, sum(epoch.seconds for epoch in epochs))


def figures(both: Sequence[Sequence[Epoch]]) -> list[str]:
    """Accuracy of the one and the other, then seconds of the one and the other."""
    accuracies = [spread([epoch.test_acc for epoch in epochs], 4) for epochs in both]
    return accuracies + [spread([epoch.seconds for epoch in epochs], 2) for epochs in both]


def spread(values: Sequence[float], places: int) -> str:
    """One value, or the mean of several with their range."""
    mean = f"{statistics.mean(values):.{places}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{places}f} to {max(values):.{places}f})"
