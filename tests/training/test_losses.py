"""The group `loss`: what each loss comes to, what it is given, and what is refused before a training."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from pytorch_lightning import Trainer
from torch import Tensor, nn

from labbook import experiment
from labbook.config.schema import with_schema_types
from labbook.data.digits import Digits
from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.models.mlp import MLP
from labbook.runs.run_id import run_id
from labbook.training import losses
from labbook.training.classifier import Classifier, Task
from labbook.training.losses import BinaryCrossEntropy, FocalLoss
from tests.cases import each_case
from tests.composing import composed

SPEC = ImageSpec(1, 8, tuple("0123456789"), (0.0,), (1.0,))
LOGITS = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([3, 1, 4, 1, 5, 9])
SHARES = 0.7 * F.one_hot(LABELS, 10) + 0.3 * F.one_hot(LABELS.flip(0), 10)
WEIGHT = torch.linspace(0.5, 1.5, 10)


@pytest.mark.parametrize("targets", [LABELS, SHARES])
def test_focal_loss_without_focus_is_cross_entropy(targets: Tensor) -> None:
    torch.testing.assert_close(FocalLoss(gamma=0)(LOGITS, targets), F.cross_entropy(LOGITS, targets))


def test_focal_loss_weighs_classes_as_cross_entropy_does() -> None:
    torch.testing.assert_close(FocalLoss(0, WEIGHT)(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS, WEIGHT))


def test_focal_loss_counts_what_is_certain_less() -> None:
    p = LOGITS.softmax(1).gather(1, LABELS[:, None])
    torch.testing.assert_close(FocalLoss(2.0)(LOGITS, LABELS), (-((1 - p) ** 2) * p.log()).mean())


@each_case("weight", [None, WEIGHT])
@each_case("gamma", [0.0, 0.5, 1e-6, 2.0])
@each_case("shares", [False, True])
def test_focal_loss_is_finite_where_the_network_is_certain(gamma: float, weight: Tensor | None, shares: bool) -> None:
    logits = (200 * F.one_hot(LABELS, 10)).float().requires_grad_()  # p = 1 to the last bit
    loss = FocalLoss(gamma, weight)(logits, F.one_hot(LABELS, 10).float() if shares else LABELS)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_binary_cross_entropy_takes_class_numbers() -> None:
    expected = F.binary_cross_entropy_with_logits(LOGITS, F.one_hot(LABELS, 10).float())
    assert torch.equal(BinaryCrossEntropy()(LOGITS, LABELS), expected)
    assert torch.equal(BinaryCrossEntropy()(LOGITS, F.one_hot(LABELS, 10).float()), expected)


def test_the_default_is_cross_entropy_to_the_bit_with_smoothing_in_training_alone() -> None:
    model = MLP(SPEC, Task(label_smoothing=0.1))
    assert torch.equal(model.loss(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS, label_smoothing=0.1))
    assert torch.equal(model.loss(LOGITS, SHARES), F.cross_entropy(LOGITS, SHARES, label_smoothing=0.1))
    assert torch.equal(model.eval().loss(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("balanced", [0.5, 2.0, 0.5]),  # of 4, 1 and 4 images
        ({"b": 4}, [0.5, 2.0, 0.5]),
        ({2: 0.5}, [1.2, 1.2, 0.6]),
    ],
)
def test_class_weights_have_mean_one(asked: Any, expected: list[float]) -> None:
    names = ("a", "b", "c") if "b" in asked else ("0", "1", "2")
    weight = losses.class_weights_of(asked, torch.tensor([4, 1, 4]), names)
    assert weight is not None
    torch.testing.assert_close(weight, torch.tensor(expected))


def test_a_class_without_training_images_weighs_nothing() -> None:
    weight = losses.class_weights_of("balanced", torch.tensor([2, 0, 1]), ("a", "b", "c"))
    torch.testing.assert_close(weight, torch.tensor([1.0, 0.0, 2.0]))


@pytest.mark.parametrize(
    ("loss", "name"),
    [(nn.MultiMarginLoss, "weight"), (BinaryCrossEntropy, "pos_weight"), (nn.SmoothL1Loss, None)],
)
def test_class_weights_are_given_as_the_loss_takes_them(loss: Any, name: str | None) -> None:
    assert losses.weight_name(partial(loss)) == name
    if name:
        assert torch.equal(getattr(losses.Criteria.of(loss, weight=WEIGHT).training, name), WEIGHT)
        assert getattr(losses.Criteria.of(loss, weight=WEIGHT).evaluation, name) is None


def fitted(task: Task, checkpoint: Path | None = None) -> tuple[Classifier, Trainer]:
    """An MLP after an epoch of 60 digits."""
    data = Digits(limit=60, val_fraction=0.5)
    model = MLP(data.spec, task, hidden=[4])
    options: Any = dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(max_epochs=1, logger=False, accelerator="cpu", **options)
    trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
    return model, trainer


def test_classes_are_counted_after_the_split_and_weighed_in_training_alone() -> None:
    model, trainer = fitted(Task(class_weights="balanced"))
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    counts = data.parts["train"].labels[data.rows["train"]].bincount(minlength=10)
    inverse = torch.where(counts > 0, 1 / counts, 0.0)
    weight = inverse / inverse.mean()
    torch.testing.assert_close(model.train().loss(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS, weight))
    assert torch.equal(model.eval().loss(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS))
    assert not any("weight" in name and "criteria" in name for name in model.state_dict())


class Counting(nn.Module):
    """A loss with a state that changes in training."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy."""
        self.seen += len(targets)
        return F.cross_entropy(logits, targets)


def test_the_state_of_a_loss_is_in_the_checkpoint_and_not_in_the_network(tmp_path: Path) -> None:
    model, trainer = fitted(Task(loss=Counting))
    assert model.criteria.training.seen == 30
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert "seen" not in "".join(checkpoint["state_dict"])
    other, _ = fitted(Task(loss=Counting), tmp_path / "a.ckpt")
    assert other.criteria.training.seen == 30


class Summed(nn.Module):
    """A loss for each image, of which no mean is taken."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy [n]."""
        return F.cross_entropy(logits, targets, reduction="none")


class Learned(nn.Module):
    """A loss with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Scaled cross entropy."""
        return F.cross_entropy(self.scale * logits, targets)


@each_case(
    ("task", "said"),
    [
        (Task(loss=nn.MSELoss), "MSELoss does not take logits"),
        (Task(loss=nn.NLLLoss), "NLLLoss does not work here: it needs log probabilities"),
        (Task(loss=nn.ReLU), "ReLU does not take logits"),
        (Task(loss=partial(nn.CrossEntropyLoss, reduction="sum")), "reduction=sum"),
        (Task(loss=Summed), r"a tensor of shape \[11\] and not one number"),
        (Task(loss=Learned), "Learned has trainable parameters"),
        (Task(loss=partial(nn.MultiMarginLoss, p=3)), "only p == 1 and p == 2"),
        (Task(loss=nn.MultiMarginLoss, mixup=0.2), "use task.mixup=0"),
        (Task(loss=nn.L1Loss, mixup=0.2), "class numbers"),  # which the validation has
        (Task(loss=FocalLoss, label_smoothing=0.1), "FocalLoss has no label smoothing"),
        (Task(loss=Summed, class_weights="balanced"), "Summed has no class weights"),
        (Task(class_weights={"dog": 2.0}), "dog is not a class of the data; choices: 0, 1"),
    ],
)
def test_what_cannot_train_these_classes_is_refused_at_once(task: Task, said: str) -> None:
    shares = bool(task.mixup)
    with pytest.raises(SettingError, match=said):
        losses.check_loss(task.loss, task.label_smoothing, task.class_weights, SPEC, shares)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["+loss.reduction=sum"], "a loss is the mean over the batch"),
        (["+loss.label_smoothing=0.1"], "use task.label_smoothing"),
        (["+loss.weight=[1,2]"], "use loss.class_weights"),
        (["loss.class_weights=balancd"], "null, balanced or factors"),
        (["loss.class_weights={dog: -1}"], "factors above 0"),
        (["loss.class_weights={}"], "null, balanced or factors"),
        (["loss=focal", "loss.gamma=-1"], "loss.gamma"),
        (["loss._target_=torch.nn.utils.clip_grad_norm_"], "does not return a Module"),
        (["loss._target_=os.system"], "not allowed"),
    ],
)
def test_wrong_settings_of_the_group_are_refused_by_name(overrides: list[str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        experiment.check_experiment(composed(*overrides))


def test_a_loss_of_the_configuration_reaches_the_network() -> None:
    config = composed("loss=focal", "loss.gamma=3", "loss.class_weights={3: 2}", "model=mlp")
    experiment.check_experiment(config)
    model = experiment.build_model(config, SPEC)
    assert isinstance(model.criteria.training, FocalLoss)
    assert model.criteria.training.gamma == 3
    assert model.task.class_weights == {3: 2}


def test_runs_of_before_the_choice_have_the_default_and_their_identity() -> None:
    config = composed()
    before = OmegaConf.masked_copy(config, [name for name in config if name != "loss"])
    known = run_id(composed("loss=cross_entropy"))
    assert run_id(with_schema_types(before, "here")) == known
    assert len({known, run_id(composed("loss=focal")), run_id(composed("loss.class_weights=balanced"))}) == 3
