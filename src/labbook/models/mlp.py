"""Multilayer perceptron (labs A, C and E)."""

from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import Ge, Lt
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.training.classifier import Classifier, Task

Activation = Literal["relu", "tanh", "sigmoid", "gelu"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU
}  # fmt: skip


class MLP(Classifier):
    """Dense layers on the flattened image.

    `hidden` lists the units of each hidden layer; one number is one layer. Without it there are `depth` layers of
    `width` units. `activation` is one for all hidden layers, or a list.

    Raises:
        SettingError: a list of activations of another length.
    """

    def __init__(
        self,
        spec: ImageSpec,
        task: Task | None = None,
        *,
        hidden: PositiveInt | Sequence[PositiveInt] | None = None,
        depth: NonNegativeInt = 1,
        width: PositiveInt = 128,
        activation: Activation | Sequence[Activation] = "relu",
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ) -> None:
        super().__init__(spec, task)
        layers = [hidden] if isinstance(hidden, int) else hidden
        units = [width] * depth if layers is None else list(layers)
        names = [activation] * len(units) if isinstance(activation, str) else list(activation)
        if len(names) != len(units):
            raise SettingError(
                f"model.activation has {len(names)} activations for {len(units)} hidden layers: use one for each"
            )
        self.layers = dense_layers(spec.channels * spec.size**2, units, names, dropout)
        self.head = nn.Linear(units[-1] if units else spec.channels * spec.size**2, spec.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layers(images.flatten(1)))
        return logits


def dense_layers(inputs: int, units: Sequence[int], activations: Sequence[Activation], dropout: float) -> nn.Sequential:
    """Hidden layers: linear, activation and optional dropout for each entry of `units`."""
    layers: list[nn.Module] = []
    for outputs, name in zip(units, activations, strict=True):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[name]()]
        layers += [nn.Dropout(dropout)] if dropout else []
        inputs = outputs
    return nn.Sequential(*layers)
