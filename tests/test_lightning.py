"""Lightning's callbacks and options of its Trainer: those that work, and those that are refused with what to use."""

import copy
import csv
import inspect
from typing import Any

import pytest
from pytorch_lightning import Trainer, callbacks

from labbook import experiment
from labbook import trainer as trainers
from labbook.config import instantiate, target_rules
from labbook.config.unknown_keys import OF_TRAINER
from labbook.data.digits import Digits
from labbook.errors import SettingError
from labbook.models.mlp import MLP
from labbook.training import hardware
from tests.composing import composed
from tests.conftest import Command


def test_a_trainer_for_a_test_takes_one_device_and_leaves_the_configuration() -> None:
    config = composed("model=mlp", "trainer.devices=2", "trainer.strategy=ddp")
    before = copy.deepcopy(config)
    cpu = hardware.DeviceChoice("cpu", "32-true", channels_last=False, reason="")
    trainer = trainers.test_trainer(config, cpu, MLP(Digits().spec))
    assert (trainer.num_devices, trainer.world_size) == (1, 1)
    assert config == before


TARGET = "pytorch_lightning.callbacks"
LOOK_ON = {  # with what each needs
    "Checkpoint": {},
    "EarlyStopping": {"monitor": "val/loss"},
    "LambdaCallback": {},
    "LearningRateMonitor": {},
    "ModelCheckpoint": {"monitor": "val/loss", "mode": "min"},
    "ModelSummary": {},
    "RichModelSummary": {},
}
NEEDS_A_PACKAGE = {"DeviceStatsMonitor": "psutil"}
OPTIONS = {  # of the Trainer
    "gradient_clip_val": 1.0,
    "gradient_clip_algorithm": "value",
    "limit_train_batches": 2,
    "limit_val_batches": 2,
    "limit_test_batches": 2,
    "accumulate_grad_batches": 2,
    "check_val_every_n_epoch": 1,
    "min_epochs": 1,
    "min_steps": 1,
    "log_every_n_steps": 1,
    "deterministic": True,
    "inference_mode": False,
    "detect_anomaly": True,
    "profiler": "simple",
}
OF_DEVICES = {"accelerator", "strategy", "devices", "num_nodes", "precision", "sync_batchnorm"}


def refused(name: str, **settings: Any) -> str:
    with pytest.raises(SettingError) as error:
        instantiate.check_node_tree({"mine": {"_target_": f"{TARGET}.{name}", **settings}}, "callbacks")
    return str(error.value)


def test_every_callback_is_known() -> None:
    classes = {kind: text for kind, text in target_rules.REFUSED.items() if isinstance(kind, type)}
    of_refused = {name for name in callbacks.__all__ if issubclass(getattr(callbacks, name), tuple(classes))}
    known = of_refused | LOOK_ON.keys() | NEEDS_A_PACKAGE.keys()
    assert known == set(callbacks.__all__) - {"Callback"}
    for name in of_refused:
        instead = next(text for kind, text in classes.items() if issubclass(getattr(callbacks, name), kind))
        assert refused(name) == f"callbacks.mine._target_={TARGET}.{name} does not work here: {instead}"


def test_a_callback_that_derives_from_a_refused_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(callbacks.StochasticWeightAveraging):
        pass

    monkeypatch.setattr(callbacks, "Mine", Mine, raising=False)
    Mine.__module__ = TARGET
    assert refused("Mine", swa_lrs=0.1).endswith("use callbacks=swa")


def test_every_option_of_the_trainer_is_known() -> None:
    options = set(inspect.signature(Trainer.__init__).parameters) - {"self"}
    assert options == OF_TRAINER.keys() | OPTIONS.keys() | OF_DEVICES
    assert not OF_TRAINER.keys() & (OPTIONS.keys() | OF_DEVICES)
    assert OF_TRAINER.items() <= experiment.SUPPLIED["trainer"].items()


def test_the_other_callbacks_and_options_work_together(labbook: Command) -> None:
    mine = [f"+callbacks.{name}={{_target_: {TARGET}.{name}{rest(more)}}}" for name, more in LOOK_ON.items()]
    options = [f"++trainer.{name}={value}" for name, value in OPTIONS.items()]
    quick = ("model=mlp", "model.width=4", "data.batch_size=20", "callbacks=none", "trainer=cpu", "epochs=2")
    ended = labbook(*quick, *mine, *options)
    assert ended.code == 0, ended.err
    with (ended.run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2"]  # of two batches
    assert all(float(row["val/loss"]) > 0 for row in rows)


def rest(settings: dict[str, Any]) -> str:
    return "".join(f", {name}: {value}" for name, value in settings.items())


def test_a_callback_says_what_it_needs(labbook: Command) -> None:
    quick = ("model=mlp", "data.limit=60", "callbacks=none", "logger=none", "epochs=1")
    sentence = labbook(*quick, f"+callbacks.x._target_={TARGET}.LearningRateMonitor").sentence
    what = f"callbacks.x ({TARGET}.LearningRateMonitor) failed: MisconfigurationException: Cannot use"
    assert sentence.startswith(what)
    unknown = (f"+callbacks.x._target_={TARGET}.EarlyStopping", "+callbacks.x.monitor=val/nope")
    assert labbook(*quick, *unknown).sentence.startswith(
        "callbacks.x.monitor=val/nope is not logged by MLP; did you mean val/loss?"
    )
