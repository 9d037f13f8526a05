"""A network that takes more than images, on data that has it: `Images.extra`, `Batch.extra`."""

from typing import Any

import pytest
import torch
from mylab.data.thresholds import Thresholds
from mylab.models.with_threshold import WithThreshold
from pytorch_lightning import Trainer
from torch import Tensor, nn

from labbook.data.digits import Digits
from labbook.data.loader import Batch
from labbook.errors import SettingError
from labbook.models.lenet5 import LeNet5
from labbook.training.classifier import Classifier, Task
from labbook.training.further_inputs import FurtherInputs
from labbook.training.probe import dummy_input

QUIET: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False, "use_distributed_sampler": False,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize("tta", ["none", pytest.param("mirror", marks=pytest.mark.slow)])
def test_it_trains_validates_and_tests(tta: Any) -> None:
    torch.manual_seed(0)
    data = Thresholds(batch_size=20)
    optimizer = torch.optim.Adam
    model = WithThreshold(data.spec, Task(lambda parameters: optimizer(parameters, lr=0.02), tta=tta))
    trainer = Trainer(max_epochs=8, **QUIET)
    trainer.fit(model, datamodule=data)
    assert trainer.callback_metrics["val/acc"] > 0.85  # 0.75 is the best by the image alone
    trainer.test(model, datamodule=data, verbose=False)
    assert model.outcome is not None
    assert model.outcome.figures.acc > 0.85


class Several(Classifier):
    def forward(self, images: Tensor, age: Tensor, place: Tensor | None = None, scale: float = 1) -> Tensor:
        return images.flatten(1)[:, :2] + age


class All(Classifier):
    def forward(self, images: Tensor, **extra: Tensor) -> Tensor:
        return images.flatten(1)[:, :2] + sum(extra.values())


def test_what_forward_takes_is_read_from_its_parameters() -> None:
    spec = Thresholds().spec
    extra = {"age": torch.ones(2, 1), "place": torch.zeros(2), "other": torch.zeros(2)}
    several = Several(spec).further_inputs
    assert (several.needed, several.optional, several.takes_all) == (("age",), ("place",), False)
    assert list(several.among(extra)) == ["age", "place"]
    assert list(All(spec).further_inputs.among(extra)) == list(extra)
    assert LeNet5(Digits(image_size=28).spec).further_inputs.among(extra) == {}
    assert FurtherInputs.of(nn.Flatten()) == FurtherInputs("Flatten")


@pytest.mark.parametrize(
    ("extra", "has"),
    [
        ({}, "the data has only images"),
        ({"place": torch.zeros(2), "year": torch.zeros(2)}, "those of the data are place, year"),
    ],
)
def test_data_without_it_is_refused(extra: dict[str, Tensor], has: str) -> None:
    with pytest.raises(SettingError) as refusal:
        Several(Thresholds().spec).further_inputs.among(extra)
    assert str(refusal.value) == f"Several takes age as additional inputs (Images.extra), and {has}"


def test_images_are_not_mixed_without_what_belongs_to_them() -> None:
    batch = Batch(
        torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]), torch.arange(2), True, 0, 0, 1.0, {"age": torch.ones(2, 1)}
    )
    with pytest.raises(SettingError) as refusal:
        Several(Thresholds().spec, Task(mixup=0.2)).training_step(batch, 0)
    assert str(refusal.value) == (
        "task.mixup and task.cutmix mix only images, and Several takes age beside them: leave them out"
    )


@pytest.mark.parametrize(
    ("kind", "what"), [(Several, "age and place"), (All, "further tensors"), (WithThreshold, "threshold")]
)
def test_what_has_images_alone_is_refused(kind: type[Classifier], what: str) -> None:
    with pytest.raises(SettingError) as refusal:
        kind(Thresholds().spec).further_inputs.check_none()
    assert str(refusal.value) == (
        f"{kind.__name__} takes {what} beside the images, and image files do not have that, so predict, serve and"
        " export cannot use it; scripts/evaluate.py tests it on its data"
    )


def test_a_network_with_another_input_is_not_drawn() -> None:
    with pytest.raises(SettingError) as refusal:
        dummy_input(WithThreshold(Thresholds().spec))
    assert str(refusal.value) == ("a look at the network needs forward(images), and WithThreshold also takes threshold")
