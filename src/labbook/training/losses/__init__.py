"""Losses: classes of torch.nn, of this module or of the user."""

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError, first_line, list_choices

Loss = Callable[..., nn.Module]  # gets `weight`, `pos_weight` and `label_smoothing` if it takes them
ClassWeights = Literal["balanced"] | Mapping[str, float] | None


class FocalLoss(nn.Module):
    """Cross entropy times (1 - p)^gamma, where p is the probability of the true class (Lin et al., arXiv 1708.02002).

    `weight` is a factor per class, float32 [classes]. The mean over the images is weighted by it, as in
    `torch.nn.CrossEntropyLoss`, which is the same for gamma=0.
    """

    weight: Tensor | None

    def __init__(self, gamma: Annotated[float, Ge(0)] = 2.0, weight: Tensor | None = None) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits [n, classes] and classes (int64 [n]) or their shares (float [n, classes]) -> a scalar."""
        log_p = F.log_softmax(logits, 1)
        shares = one_hot(targets, log_p)
        if self.weight is not None:
            shares = shares * self.weight
        rest = (1 - log_p.exp()).clamp(min=torch.finfo(log_p.dtype).tiny)  # at 0, rest^gamma has no slope for gamma < 1
        losses = -(rest**self.gamma) * log_p
        return (losses * shares).sum() / shares.sum()


class BinaryCrossEntropy(nn.BCEWithLogitsLoss):
    """`torch.nn.BCEWithLogitsLoss` that also takes class indices."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Logits [n, classes] and classes (int64 [n]) or one number in [0, 1] each (float [n, classes]) -> a scalar."""
        logits = input.float()
        return super().forward(logits, one_hot(target, logits))


def one_hot(targets: Tensor, like: Tensor) -> Tensor:
    """Class indices, int64 [n], as shares [n, classes] with the dtype of `like` [n, classes]; shares do not change."""
    return targets if targets.is_floating_point() else F.one_hot(targets, like.shape[1]).to(like.dtype)


class Criteria(NamedTuple):
    """One loss twice: with label smoothing and class weights for training, without for validation and test.

    Neither is a submodule of the network, so checkpoints do not have their weights.
    """

    training: nn.Module
    evaluation: nn.Module

    @classmethod
    def of(cls, loss: Loss, label_smoothing: float = 0.0, weight: Tensor | None = None) -> "Criteria":
        """Create both with the arguments that the loss takes; `weight` is per class, float32 [classes]."""
        options: dict[str, Any] = {"label_smoothing": label_smoothing} if label_smoothing else {}
        if weight is not None and (name := weight_name(loss)):
            options[name] = weight
        return cls(loss(**options), loss())

    def to(self, device: torch.device) -> None:
        for criterion in self:
            criterion.to(device)


def weight_name(loss: Loss) -> str | None:
    return next((name for name in ("pos_weight", "weight") if name in inspect.signature(loss).parameters), None)


def class_weights_of(asked: ClassWeights, counts: Tensor | None, names: tuple[str, ...]) -> Tensor | None:
    """The weight of each class, float32 [classes], with mean 1; None if none are asked for.

    Args:
        asked: "balanced" (inverse to the number of images), or factors of some classes; the others have 1.
        counts: training images of each class, int64 [classes]; None if unknown.
        names: of the classes.
    """
    if asked is None:
        return None
    if asked == "balanced":
        if counts is None:
            raise SettingError(
                "loss.class_weights=balanced needs training_labels, which this data module does not have: use"
                " factors, such as loss.class_weights={NAME: 2}"
            )
        factors = torch.where(counts > 0, 1 / counts.double(), 0)  # a class without images is never a target
    else:
        check_weighted_names(asked, names)
        factors = torch.tensor([{str(name): value for name, value in asked.items()}.get(each, 1.0) for each in names])
    return (factors / factors.mean()).float()


def check_weighted_names(asked: Mapping[str, float], names: tuple[str, ...]) -> None:
    for name in map(str, asked):
        if name not in names:
            raise SettingError(f"loss.class_weights: {name} is not a class of the data; {list_choices(name, names)}")


def check_class_weights(asked: Any) -> None:
    if asked is None or asked == "balanced":
        return
    factors = dict(asked) if isinstance(asked, Mapping) else {}
    positive = [type(item) in (int, float) and 0 < item < math.inf for item in factors.values()]
    if not factors or not all(positive):
        raise SettingError(
            "loss.class_weights must be null, balanced or factors above 0 of classes such as {dog: 3.5}, not"
            f" {factors or asked}"
        )


def check_loss(loss: Loss, label_smoothing: float, weights: ClassWeights, spec: ImageSpec, mixed: bool) -> None:
    """Try a loss on a few logits, so that a loss that cannot train these classes is refused at once.

    `mixed`: training mixes images and their labels.
    """
    made, title, known = getattr(loss, "func", loss), loss_title(loss), inspect.signature(loss).parameters
    takes_any = any(item.kind is item.VAR_KEYWORD for item in known.values())
    if label_smoothing and "label_smoothing" not in known and not takes_any:
        instead = "" if spec.multilabel else ", or loss=cross_entropy"
        raise SettingError(f"{title} has no label smoothing: use task.label_smoothing=0{instead}")
    if weights is not None and weight_name(loss) is None:
        raise SettingError(f"{title} has no class weights (weight): use loss.class_weights=null")
    if isinstance(weights, Mapping):
        check_weighted_names(weights, spec.class_names)
    if inspect.isclass(made) and issubclass(made, nn.NLLLoss):  # takes logits without an error
        raise SettingError(f"{title} does not work here: it needs log probabilities: use loss=cross_entropy")
    try:
        criterion = Criteria.of(loss, label_smoothing, torch.ones(spec.num_classes) if weights else None).training
    except (RuntimeError, TypeError, ValueError) as error:
        raise SettingError(f"{title}: {first_line(error)}") from error
    if any(item.requires_grad for item in criterion.parameters()):
        raise SettingError(
            f"{title} has trainable parameters, which a loss of this group cannot have: put them into the network,"
            " with its own method loss(logits, targets)"
        )
    if (reduction := getattr(criterion, "reduction", "mean")) != "mean":
        raise SettingError(f"{title} has reduction={reduction}: a loss is the mean over the batch, so use mean")
    try_loss(criterion, title, spec.num_classes, "labels of several classes for an image" * spec.multilabel)
    if mixed and not spec.multilabel:
        try_loss(criterion, title, spec.num_classes, "the shares of mixed images")


def check_multilabel_loss(loss: Loss) -> None:
    made = getattr(loss, "func", loss)
    if inspect.isclass(made) and issubclass(made, (nn.CrossEntropyLoss, FocalLoss)):
        raise SettingError(f"{loss_title(loss)} needs one class per image, and these have several: use loss=bce")


def loss_title(loss: Loss) -> str:
    made = getattr(loss, "func", loss)
    return f"loss._target_={made.__module__.removesuffix('.modules.loss')}.{made.__qualname__}"


def try_loss(criterion: nn.Module, title: str, classes: int, shares: str) -> None:
    """Compute a loss; `shares` describes float targets [n, classes], and is empty for class indices."""
    count = classes + 1  # so that targets [n] are never taken for [classes]
    logits = torch.linspace(-1, 1, count * classes).view(count, classes).requires_grad_()
    targets = torch.arange(count) % classes
    kind = f"{shares} (float [n, classes])" if shares else "class numbers (int64 [n])"
    instead = "; use task.mixup=0 and task.cutmix=0" if "mixed" in shares else ""
    try:
        with warnings.catch_warnings(action="ignore"):
            value = criterion(logits, one_hot(targets, logits) if shares else targets)
    except Exception as error:  # of a library or of the user
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise SettingError(f"{title} does not take logits [n, classes] and {kind}{instead} ({reason})") from error
    if not isinstance(value, Tensor) or value.dim() or not value.requires_grad:
        returned = f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise SettingError(
            f"{title} gives {returned} and not one number that depends on the logits: the mean over the batch"
        )
