"""Targets and networks that a configuration must not name, or that do not fit the data."""

import re
from pathlib import Path

import pytest
import torch

from labbook import experiment
from labbook.errors import SettingError
from tests.composing import composed
from tests.config.test_bad_input import refused
from tests.conftest import Command

EVIL = "{_target_:os.system,command:'touch canary'}"


@pytest.mark.parametrize(
    "argument",
    [
        *(f"{group}._target_=os.system" for group in ("model", "data", "optimizer", "scheduler", "trainer", "logger")),
        "model._target_=builtins.eval",
        "model._target_=torch.load",
        "data._target_=torch.hub.load",
        "optimizer._target_=functools.partial",
        "trainer._target_=hydra.utils.instantiate",
        "callbacks.progress._target_=subprocess.run",
        f"+callbacks.evil={EVIL}",
        f"+callbacks.evil={EVIL.replace('os.system', 'labbook.data.image_cache.os.system')}",
        f"+callbacks.evil={EVIL.replace('os.system', 'pytorch_lightning.callbacks.model_checkpoint.os.system')}",
        f"+callbacks.evil={{_target_:pytorch_lightning.callbacks.LambdaCallback,on_fit_start:{EVIL}}}",
        f"data.augment=[flip,{EVIL}]",
        f"data.augment=[[{EVIL}]]",
        f"data.normalize={EVIL}",
        f"model.activation={EVIL}",
        f"optimizer.lr={EVIL}",
        f"+trainer.detect_anomaly={EVIL}",
        f"trainer.profiler={EVIL}",
    ],
)
def test_no_setting_runs_what_is_not_allowed(argument: str, labbook: Command, tmp_path: Path) -> None:
    sentence = refused(labbook(argument))
    assert re.search(r"_target_=\S+ is not allowed; allowed are labbook\.callbacks\.\*, ", sentence), sentence
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("target", "end"),
    [
        ("torch.optim.Adamm", "; did you mean Adam? similar: Adam, NAdam, RAdam"),
        ("torch.optim.Lam", "; similar: Adam, NAdam, RAdam"),
        ("torch.optim.Whatever", ""),
        ("torch.optim.adamm.Adam", ""),
    ],
)
def test_a_target_that_does_not_exist_is_refused(target: str, end: str, labbook: Command) -> None:
    assert refused(labbook(f"optimizer._target_={target}")) == f"optimizer._target_={target} does not exist{end}"


def test_a_setting_of_another_target_is_refused(labbook: Command) -> None:
    refused(
        labbook("optimizer._target_=torch.optim.LBFGS"),
        "optimizer.betas is not a setting of torch.optim.LBFGS; settings: history_size, ",
        "; delete what it does not take: ~optimizer.betas ~optimizer.eps ~optimizer.weight_decay",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        "model=alexnet data.image_size=8 model.hidden=4",
        "model=lenet5 data.image_size=4",
        "model=lenet5 data.image_size=8 model.padding=0",
        "model=cats_dogs_cnn",
        "model=cats_dogs_cnn model.channels=[2,2,2] model.kernel_sizes=[9,9,2]",
        "model=convnet model.channels=[2,2,2,2,2]",
        "model=convnet model.channels=[2,2] model.kernel_size=11 data.image_size=12",
        "model=deep_convnet model.channels=[2,2,2,2,2] model.hidden=4",
    ],
)
def test_images_too_small_for_a_network_are_refused_with_the_size_that_works(arguments: str) -> None:
    with pytest.raises(SettingError, match="images of") as refusal:
        logits(*arguments.split())
    helps = re.search(r"use data\.image_size=(\d+) or more$", str(refusal.value))
    assert helps, refusal.value
    size = int(helps.group(1))
    assert logits(*arguments.split(), f"data.image_size={size}").shape == (2, 10)
    with pytest.raises(SettingError, match=f"use data.image_size={size} or more"):
        logits(*arguments.split(), f"data.image_size={size - 1}")


def logits(*overrides: str) -> torch.Tensor:
    """What the configured network makes of two black images."""
    tree = composed(*overrides)
    data = experiment.build_data(tree)
    model = experiment.build_model(tree, data.spec)
    with torch.no_grad():
        made: torch.Tensor = model.eval()(torch.zeros(2, data.spec.channels, data.spec.size, data.spec.size))
    return made
