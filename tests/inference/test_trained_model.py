"""The network of a finished run, without the data it was trained on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from labbook.data.digits import Digits
from labbook.errors import SettingError
from labbook.inference import trained_model
from labbook.inference.evaluate import evaluate_run
from labbook.runs.resume import read_run_config, with_settings
from tests.conftest import Command
from tests.data.samples import album


def test_judges_the_test_images_as_the_test_did(labbook: Command) -> None:
    plain = ("model=mlp", "epochs=2", "data.limit=300", "trainer.precision=32", "callbacks=none", "logger=none")
    run = labbook(*plain, "task.tta=mirror").run
    config = read_run_config(run)
    outcome = evaluate_run.evaluate_run(run, config, "test").outcome
    network = trained_model.load_trained(run, config, None, "predict")
    digits = Digits(image_size=28, limit=300)
    digits.setup()
    probabilities = network.probabilities(digits.parts["test"].pixels)
    assert probabilities.dtype == torch.float32
    assert torch.equal(probabilities.argmax(1), outcome.predicted)
    assert torch.allclose(probabilities.max(1).values, outcome.confidence, atol=1e-6)
    assert network.epoch in (1, 2)
    assert not network.model.training


def test_needs_no_data(labbook: Command, tmp_path: Path) -> None:
    album(tmp_path / "photos", {"train": 4, "test": 2})
    words = ("data=image_folder", "data.root=photos", "data.image_size=8", "model=mlp", "epochs=1", "callbacks=none")
    run = labbook(*words).run
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    network = trained_model.load_trained(run, read_run_config(run), "last", "predict")
    spec = network.spec
    stored = torch.zeros(2, 8, 8, 3, dtype=torch.uint8).permute(0, 3, 1, 2)  # channels-last, as photographs are
    assert network.normalized(stored).is_contiguous()  # as in training: this network has no convolution
    assert (spec.channels, spec.size) == (3, 8)
    assert spec.class_names == ("cat", "dog")


def test_an_older_checkpoint_has_no_spec_of_its_images(trained: Callable[..., Path]) -> None:
    run = trained("model=mlp", "debug=fast", "callbacks=none")
    file = run / "checkpoints" / "last.ckpt"
    content = torch.load(file, weights_only=True)
    assert trained_model.spec_of_checkpoint(content.pop("spec"), file) == Digits(image_size=28).spec
    torch.save(content, file)
    assert trained_model.load_trained(run, read_run_config(run), "last", "predict").spec == Digits(image_size=28).spec


WHOLE = {"channels": 1, "size": 8, "class_names": ["a", "b"], "mean": [0.5], "std": [0.5]}


@pytest.mark.parametrize("content", [None, 3, {}, WHOLE | {"size": "large"}, WHOLE | {"class_names": 3}])
def test_what_is_no_spec_is_refused(content: Any) -> None:
    with pytest.raises(SettingError, match=r"x\.ckpt is not a checkpoint of a run: its description of the images"):
        trained_model.spec_of_checkpoint(content, Path("x.ckpt"))


def test_a_run_whose_training_would_be_refused_today_is_opened(labbook: Command) -> None:
    run = labbook("model=mlp", "debug=fast", "callbacks=none", "trainer.precision=32").run
    own = evaluate_run.evaluate_run(run, read_run_config(run), "test").outcome
    config = read_run_config(run)
    config.trainer |= {"strategy": "ddp_spawn", "val_check_interval": 0.5}
    config.callbacks = {"finder": {"_target_": "pytorch_lightning.callbacks.BatchSizeFinder"}}
    config.optimizer.forgotten = 1
    config.scheduler = {"_target_": "labbook.training.schedulers.Forgotten", "_partial_": True}
    OmegaConf.save(config, run / "config.yaml")
    outcome = evaluate_run.evaluate_run(run, read_run_config(run), "test").outcome
    assert torch.equal(outcome.predicted, own.predicted)
    typed = with_settings(read_run_config(run), ["trainer.strategy=deepspeed"])
    with pytest.raises(SettingError, match=r"trainer\.strategy=deepspeed does not work here"):
        trained_model.load_trained(run, typed, None, "predict")
