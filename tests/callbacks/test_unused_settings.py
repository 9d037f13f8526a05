"""Settings that change nothing are named; those that do are not."""

import pytest
from omegaconf import DictConfig

from labbook import experiment
from labbook.callbacks.unused_settings import (
    unused_layer_factors,
    unused_outside_sweeps,
    unused_schedule,
    unused_settings,
    unused_split,
    unused_validation,
)
from tests.composing import run_of
from tests.conftest import Command

SMALL = ("model=mlp", "model.width=4")


def of(*overrides: str) -> list[str]:
    """What is said of a run of a small network on digits."""
    config = run_of(*SMALL, *overrides)
    data = experiment.build_data(config)
    return unused_settings(config, experiment.build_model(config, data.spec))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ("model.weights=w.pth model.freeze=backbone task.backbone_lr_factor=0.1", "only the last layer of the network"),
        ("sweep.name=mine", "sweep.name=mine has no effect on a single run: add -m"),
        ("sweep.on_error=stop", "sweep.on_error=stop"),
        ("model.hidden=[] task.layer_lr_decay=0.5", "only one layer"),
        ("model.hidden=[] task.backbone_lr_factor=0.5", "task.backbone_lr_factor=0.5"),
        ("task.norm_bias_lr_factor=2", "no biases of normalisation layers"),
        ("scheduler=cosine scheduler.warmup_epochs=3 epochs=3", "scheduler.warmup_epochs=3"),
        ("scheduler=plateau scheduler.patience=2 epochs=4", "scheduler.patience=2 never reduces the learning rate"),
        (
            "epochs=5 callbacks=early_stopping callbacks.early_stopping.patience=4",
            "callbacks.early_stopping.patience=4",
        ),
        (
            "epochs=5 +callbacks.mine._target_=pytorch_lightning.callbacks.EarlyStopping"
            " +callbacks.mine.monitor=val/acc +callbacks.mine.patience=4",
            "callbacks.mine.patience=4 cannot stop a run early",
        ),
        ("epochs=3 trainer.check_val_every_n_epoch=4", "never validates in epochs=3"),
        ("data.val_split=last data.val_seed=1", "data.val_seed=1"),
        ("data.validation=test data.val_seed=1", "data.val_seed=1"),
        (
            "callbacks=lookahead",
            "callbacks.lookahead sets the weights to its slow copy at the last epoch: test it with test_checkpoint",
        ),
        ("callbacks=[ema,lookahead]", "callbacks.lookahead sets the weights to its slow copy"),
        ("callbacks=unfreeze epochs=1", "callbacks.unfreeze.epoch=2 unfreezes no layer in epochs=1: use more epochs"),
        ("callbacks=unfreeze callbacks.unfreeze.epoch=1", "model.freeze has no effect because callbacks.unfreeze.ep"),
        ("channels_last=true", "MLP, which has no convolution"),
    ],
)
def test_a_setting_without_effect_is_named(settings: str, named: str) -> None:
    notes = of(*settings.split())
    assert len(notes) == 1
    assert named in notes[0]


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "task.layer_lr_decay=0.5 task.backbone_lr_factor=0.1",
        "scheduler=cosine scheduler.warmup_epochs=2 epochs=3",
        "scheduler=plateau scheduler.patience=1 epochs=4",
        "epochs=6 callbacks=early_stopping callbacks.early_stopping.patience=4",
        "epochs=4 trainer.check_val_every_n_epoch=4",
        "callbacks=unfreeze callbacks.unfreeze.epoch=1 callbacks.unfreeze.layers=1",
        "model.weights=w.pth model.freeze=backbone callbacks=unfreeze epochs=2 task.backbone_lr_factor=0.1",
        "data.val_seed=1",
        "channels_last=false",
        "callbacks=none scheduler=step logger=none",
        "callbacks=lookahead test_checkpoint=last",
        "callbacks=lookahead data.val_fraction=0",
    ],
)
def test_a_setting_with_an_effect_is_not(settings: str) -> None:
    assert of(*settings.split()) == []


def unused_in_preset(config: DictConfig) -> list[str]:
    """What is said of an experiment or of a run of a sweep's preset, whose tests call this."""
    config = config.copy()
    config.sweep.job.folder = "a run of a sweep"
    found = [
        *unused_outside_sweeps(config),
        *unused_schedule(config),
        *unused_validation(config),
        *unused_split(config),
    ]
    factors = [config.task[name] for name in ("norm_bias_lr_factor", "layer_lr_decay", "backbone_lr_factor")]
    if factors != [1, 1, 1]:
        found += unused_layer_factors(experiment.build_model(config, experiment.build_data(config).spec))
    return found


def test_it_is_said_before_the_training_with_the_folder(labbook: Command) -> None:
    ended = labbook(*SMALL, "sweep.name=mine", "debug=fast", "callbacks=none", "logger=none")
    lines = ended.out.splitlines()
    assert lines[2] == f"into {ended.run}"
    assert lines[3].startswith("note: sweep.name=mine has no effect")
    assert lines[4].startswith("epoch 1/1")
    assert "WARNING note: sweep.name=mine" in (ended.run / "train.log").read_text()
