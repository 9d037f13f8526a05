"""LeNet-5 (LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998)."""

from pydantic import NonNegativeInt
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.models.mlp import ACTIVATIONS, Activation
from labbook.training.classifier import Classifier, Task


class LeNet5(Classifier):
    """The paper's layers with max pooling, a dense end and, by default, ReLU, as lab B trained it (B1).

    `padding` of the first convolution: MNIST has 28 pixels, the paper 32.
    """

    def __init__(
        self, spec: ImageSpec, task: Task | None = None, *, padding: NonNegativeInt = 2, activation: Activation = "relu"
    ) -> None:
        super().__init__(spec, task)
        self.require_size(spec, max(16 - 2 * padding, 1))
        layer = ACTIVATIONS[activation]
        self.features = nn.Sequential(
            nn.Conv2d(spec.channels, 6, kernel_size=5, padding=padding), layer(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, kernel_size=5), layer(), nn.MaxPool2d(2),
        )  # fmt: skip
        side = ((spec.size + 2 * padding - 4) // 2 - 4) // 2
        self.classifier = nn.Sequential(
            nn.Linear(16 * side**2, 120), layer(),
            nn.Linear(120, 84), layer(),
            nn.Linear(84, spec.num_classes),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits
