"""The parts of airbench94: first weights, whitening, what is trained when and how fast, and the whole recipe, small."""

import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, unfold

from labbook.config import instantiate
from labbook.data.digits import Digits
from labbook.data.image_spec import ImageSpec
from labbook.models import airbench94
from labbook.models.airbench94 import Airbench94, identity_convolution, patch_covariance, whitening_filters
from labbook.models.mlp import MLP
from labbook.training.capabilities import trainable_parameters
from labbook.training.classifier import Classifier, Task
from tests import composing
from tests.conftest import Command
from tests.data.samples import Made, made
from tests.models.test_architectures import build, spec_of
from tests.runs.test_resume import signal_at
from tests.test_train import metrics_of, rows_of, same_weights, weights_of, without_times

SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.85, nesterov=True, weight_decay=0.001)


def small(spec: ImageSpec, task: Task | None = None, **settings: Any) -> Airbench94:
    torch.manual_seed(0)
    return Airbench94(spec, task or Task(SGD), widths=[4, 8, 8], **settings)


def digits(**options: Any) -> Digits:
    return Digits(val_fraction=0.0, limit=64, batch_size=16, image_size=28, **options)


def fit(model: Classifier, data: Digits, *callbacks: Callback, epochs: int = 1) -> Trainer:
    trainer = Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=list(callbacks), logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    return trainer


class Notes(Callback):
    """What something was when the training started and after each epoch."""

    def __init__(self, what: Callable[[Any], Any]) -> None:
        self.what, self.found = what, list[Any]()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.found.append(self.what(pl_module))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.found.append(self.what(pl_module))


# Layers --------------------------------------------------------------------------------------------------------------


def test_the_network_is_that_of_the_paper() -> None:
    model = instantiate.build_object(composing.node("airbench94"), spec=spec_of(3, 32, 10))
    shapes = [tuple(layer.weight.shape) for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    assert shapes == [
        (24, 3, 2, 2), (64, 24, 3, 3), (64, 64, 3, 3), (256, 64, 3, 3), (256, 256, 3, 3), (256, 256, 3, 3),
        (256, 256, 3, 3), (10, 256),
    ]  # fmt: skip
    assert trainable_parameters(model) == sum(int(np.prod(shape)) for shape in shapes[1:]) + 24 + 2 * 64 + 4 * 256


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 8), (8, 8), (8, 3)])
def test_a_convolution_begins_by_handing_its_inputs_on(inputs: int, outputs: int) -> None:
    images = torch.randn(2, inputs, 7, 7)
    layer = identity_convolution(inputs, outputs)
    same = min(inputs, outputs)
    assert torch.equal(layer(images)[:, :same], images[:, :same])
    bound = 1 / (9 * inputs) ** 0.5  # of torch's default
    assert layer.weight.requires_grad
    if outputs > inputs:
        assert 0.8 * bound < layer.weight[inputs:].abs().max() <= bound


def test_the_bias_of_the_whitening_begins_at_zero() -> None:
    assert not small(spec_of(1, 28, 10)).state_dict()["whitening.bias"].any()


def test_logits_are_divided_by_nine() -> None:
    model = small(spec_of(1, 28, 10)).eval()
    images = torch.randn(2, 1, 28, 28)
    whole = nn.Sequential(model.whitening, model.features, nn.Flatten(), model.head)
    torch.testing.assert_close(9 * model(images), whole(images))


# Whitening -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_patches_have_no_covariance(channels: int) -> None:
    images = avg_pool2d(4 * torch.randn(200, channels, 13, 13), 2, stride=1) + 3  # neighbours are alike
    covariance = patch_covariance(images.split(64))
    patches = unfold(images, 2).transpose(0, 1).flatten(1).numpy()  # as the author's, not centred
    np.testing.assert_allclose(covariance.numpy(), patches @ patches.T / patches.shape[1], rtol=1e-5)
    assert (covariance - torch.diag(covariance.diag())).abs().max() > 1
    filters = whitening_filters(covariance)
    count = 4 * channels
    assert filters.shape == (2 * count, count)
    assert torch.equal(filters[count:], -filters[:count])
    whitened = filters[:count] @ covariance @ filters[:count].T
    torch.testing.assert_close(whitened, torch.eye(count, dtype=torch.float64), atol=0.01, rtol=0)


def test_a_direction_without_variance_is_not_blown_up() -> None:
    filters = whitening_filters(torch.zeros(4, 4, dtype=torch.float64))
    torch.testing.assert_close(filters.abs().max(), torch.tensor(5e-4**-0.5, dtype=torch.float64))


@pytest.mark.filterwarnings("ignore::UserWarning")  # that a loader has few workers
def test_a_training_begins_with_the_filters_of_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airbench94, "IMAGES", 30)
    monkeypatch.setattr(airbench94, "NUMBERS", 28 * 28 * 7)  # seven images at a time
    data = digits(augment=[{"rotation": 90}], val_seed=3)
    model = small(data.spec)
    default = model.whitening.weight.clone()
    assert not model.whitened
    noted = Notes(lambda model: (model.whitening.weight.clone(), bool(model.whitened), torch.get_rng_state()))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit(model, data, noted)
    images = data.spec.normalize(data.parts["train"].pixels[data.rows["train"][:30]])
    expected = whitening_filters(patch_covariance([images])).float().view_as(default)
    for weight, whitened, _ in noted.found:
        torch.testing.assert_close(weight.abs(), expected.abs(), atol=1e-4, rtol=1e-4)
        assert whitened
    assert not torch.allclose(default, expected)
    assert torch.equal(noted.found[0][2], before)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_network_that_has_its_filters_keeps_them() -> None:
    data = digits()
    model = small(data.spec)
    model.whitened.fill_(True)
    default = model.whitening.weight.clone()
    fit(model, data)
    assert torch.equal(model.whitening.weight, default)


def test_images_in_colour_give_24_filters_and_others_fewer() -> None:
    assert build("airbench94", 3).whitening.out_channels == 24
    assert build("airbench94", 1).whitening.out_channels == 8


# What is trained -----------------------------------------------------------------------------------------------------


def named(model: nn.Module) -> dict[str, Tensor]:
    return {name: item.detach().clone() for name, item in model.named_parameters()}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scales_and_filters_stay_and_biases_learn() -> None:
    data = digits()
    model = small(data.spec)
    noted = Notes(named)
    fit(model, data, noted)
    start, end = noted.found
    frozen = {name for name, item in model.named_parameters() if not item.requires_grad}
    assert frozen == {name for name in start if torch.equal(start[name], end[name])}
    assert len(frozen) == 1 + 6
    assert all((end[name] == 1).all() for name in frozen - {"whitening.weight"})


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_the_bias_of_the_whitening_learns_for_some_epochs(epochs: int) -> None:
    data = digits()
    model = small(data.spec, whiten_bias_epochs=epochs)
    count = trainable_parameters(model)
    noted = Notes(lambda model: (model.whitening.bias.clone(), model.head.weight.clone()))
    fit(model, data, noted, epochs=3)
    pairs = list(zip(noted.found, noted.found[1:], strict=False))
    assert [not torch.equal(one[0], other[0]) for one, other in pairs] == [epoch < epochs for epoch in range(3)]
    assert all(not torch.equal(one[1], other[1]) for one, other in pairs)
    assert trainable_parameters(model) == count


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_biases_of_normalisation_have_their_own_rate_and_decay() -> None:
    data = digits()
    model = small(data.spec, Task(SGD, norm_bias_lr_factor=64.0))
    trainer = fit(model, data)
    rest, biases = trainer.optimizers[0].param_groups
    assert (rest["lr"], rest["weight_decay"]) == (0.05, 0.001)
    assert (biases["lr"], biases["weight_decay"]) == (pytest.approx(3.2), pytest.approx(0.001 / 64))
    assert rest["momentum"] == biases["momentum"] == 0.85
    names = {id(item): name for name, item in model.named_parameters()}
    expected = {name + ".bias" for name, layer in model.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    assert {names[id(item)] for item in biases["params"]} == expected
    trained = {name for name, item in model.named_parameters() if item.requires_grad}
    assert {names[id(item)] for item in rest["params"]} == trained - expected


def test_without_normalisation_or_a_factor_there_is_one_group() -> None:
    spec = spec_of(1, 28, 10)
    for model in (small(spec), MLP(spec, Task(SGD, norm_bias_lr_factor=64.0))):
        (group,) = model.parameter_groups()
        assert group.keys() == {"params"}
        assert [id(item) for item in group["params"]] == [id(item) for item in model.parameters() if item.requires_grad]


def test_a_rate_that_is_the_optimizers_own_default_is_multiplied_too() -> None:
    groups = small(spec_of(1, 28, 10), Task(torch.optim.Adam, norm_bias_lr_factor=2.0)).parameter_groups()
    assert groups[1]["lr"] == pytest.approx(0.002)
    assert groups[1]["weight_decay"] == 0.0
    groups = small(spec_of(1, 28, 10), Task(torch.optim.Rprop, norm_bias_lr_factor=2.0)).parameter_groups()
    assert groups[1].keys() == {"params", "lr"}


# The recipe ----------------------------------------------------------------------------------------------------------

TINY = (
    "experiment=airbench94", "model.widths=[4,8,8]", "model.whiten_bias_epochs=1", "data.batch_size=32",
    "optimizer.lr=0.3", "trainer.precision=32", "epochs=3", "logger=none", "callbacks.pictures=null",
)  # fmt: skip
DIGITS = ("data=digits", "data.image_size=28", "data.limit=170")  # five whole batches an epoch


def test_the_recipe_runs_on_images_in_colour(labbook: Command) -> None:
    images = ("data.images=100", "data.image_size=32", "data.classes=3")
    ended = labbook(*TINY, "data=synthetic", *images)
    assert ended.code == 0, ended.err
    assert [row["step"] for row in rows_of(ended.run)] == ["3", "6", "9"]  # without the four images left over
    assert "val/acc" not in rows_of(ended.run)[0]
    assert weights_of(ended.run)["whitened"]
    assert weights_of(ended.run)["whitening.weight"].shape == (24, 3, 2, 2)


@pytest.mark.slow
def test_the_recipe_learns(labbook: Command) -> None:
    ended = labbook(*TINY, "data=digits", "data.image_size=28", "data.augment=[{reflect_crop: 2}]", "epochs=4")
    assert ended.code == 0, ended.err
    assert metrics_of(ended.run)["test/acc"] > 0.6


@pytest.mark.parametrize(("epoch", "batch"), [(0, 2), (1, 1), (2, 3)])
@pytest.mark.slow
def test_the_recipe_resumes_to_the_same_bits(
    labbook: Command, monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int
) -> None:
    whole = labbook(*TINY, *DIGITS).run
    signal_at(monkeypatch, "on_train_batch_end", epoch, batch, signal.SIGINT)
    stopped = labbook(*TINY, *DIGITS)
    assert stopped.code == 130, stopped.err
    resumed = labbook(f"resume={stopped.run}")
    assert resumed.code == 0, resumed.err
    assert same_weights(whole, resumed.run)
    assert without_times(whole) == without_times(resumed.run)
    for name in ("test/loss", "parameters", "train/loss"):
        assert metrics_of(whole)[name] == metrics_of(resumed.run)[name]


def test_a_set_in_colour_is_whitened_from_its_training_part_alone() -> None:
    data = made(val_fraction=0.4, val_split="last", image_size=28)
    model = small(data.spec)
    model.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    model.trainer.datamodule = data
    model.on_fit_start()
    pixels = made(image_size=28).parts["train"].pixels[:30]
    assert len(Made.train.pixels) == 50
    expected = whitening_filters(patch_covariance([data.spec.normalize(pixels)])).float()
    torch.testing.assert_close(model.whitening.weight.flatten(1).abs(), expected.abs(), atol=1e-3, rtol=1e-3)
