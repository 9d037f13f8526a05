"""The network of airbench94 (Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv 2404.00498, 2024)."""

from collections.abc import Iterable, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import MinLen
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.optim import Optimizer

from labbook.data.image_spec import ImageSpec
from labbook.training import capabilities
from labbook.training.classifier import Classifier, Task

PATCH = 2  # pixels, height and width of a patch
IMAGES = 5000  # images the patches are taken from
REGULARIZER = 5e-4  # added to the eigenvalues, so that directions without variance stay small
TEMPERATURE = 9  # logits are divided by it
NUMBERS = 2**20  # images per batch of the statistics


class Airbench94(Classifier):
    """A whitening convolution, blocks of two convolutions with batch norm and GELU, and a dense layer without bias.

    At the start of training, the first layer gets filters that whiten patches of the training images. They are not
    trained; its bias, which starts at 0, is trained for `whiten_bias_epochs` epochs. Without a trainer, the filters are
    torch's default. The other convolutions start as identities; batch norm's scale is not trained.
    """

    whitened: Tensor  # bool []

    def __init__(
        self,
        spec: ImageSpec,
        task: Task | None = None,
        *,
        widths: Annotated[Sequence[PositiveInt], MinLen(1)] = (64, 256, 256),
        whiten_bias_epochs: NonNegativeInt = 3,
    ) -> None:
        super().__init__(spec, task)
        self.require_size(spec, 3 * 2 ** len(widths) + PATCH - 1)
        self.whiten_bias_epochs = whiten_bias_epochs
        numbers = spec.channels * PATCH**2  # of a patch
        self.whitening = nn.Conv2d(spec.channels, 2 * numbers, PATCH)
        self.whitening.weight.requires_grad_(False)
        nn.init.zeros_(self._bias)
        self.register_buffer("whitened", torch.tensor(False))  # so that a resumed run keeps its filters
        channels = [2 * numbers, *widths]
        blocks = [airbench_block(inputs, outputs) for inputs, outputs in zip(channels, widths, strict=False)]
        self.features = nn.Sequential(nn.GELU(), *blocks, nn.MaxPool2d(3))  # 32 pixels: 31, 15, 7, 3 and 1
        side = (spec.size - PATCH + 1) // 2 ** len(widths) // 3
        self.head = nn.Linear(widths[-1] * side**2, spec.num_classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(self.whitening(images)).flatten(1))
        return logits / TEMPERATURE

    # The whitening -------------------------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Whiten patches of the first training images, unless a checkpoint restored the filters."""
        if self.whitened:
            return
        data = capabilities.require_image_data(self.trainer.datamodule, "airbench94")  # type: ignore[attr-defined]
        pixels, rows = data.parts["train"].pixels, data.rows["train"][:IMAGES]
        parts = torch.split(rows, max(1, NUMBERS // pixels[0].numel()))
        filters = whitening_filters(patch_covariance(self.spec.normalize(pixels[part]) for part in parts))
        with torch.no_grad():
            self.whitening.weight.copy_(filters.view_as(self.whitening.weight))
            self.whitened.fill_(True)

    def on_train_start(self) -> None:
        """Like `on_train_epoch_start`, which is not called for an epoch resumed in the middle."""
        super().on_train_start()
        self.on_train_epoch_start()

    def on_train_epoch_start(self) -> None:
        """Train the whitening bias in the first epochs only; with several processes its gradient stays on."""
        self._bias.requires_grad_(self._trains_bias or self.trainer.world_size > 1)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Drop the gradient that only several processes have."""
        if not self._trains_bias:
            self._bias.grad = None

    def on_train_end(self) -> None:
        """Mark the bias as trainable again."""
        self._bias.requires_grad_()

    @property
    def _bias(self) -> nn.Parameter:
        assert isinstance(self.whitening.bias, nn.Parameter)
        return self.whitening.bias

    @property
    def _trains_bias(self) -> bool:
        return self.trainer.current_epoch < self.whiten_bias_epochs


def airbench_block(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions; the first halves the size: [n, inputs, H, W] -> [n, outputs, H / 2, W / 2]."""
    return nn.Sequential(
        identity_convolution(inputs, outputs), nn.MaxPool2d(2), scaleless_norm(outputs), nn.GELU(),
        identity_convolution(outputs, outputs), scaleless_norm(outputs), nn.GELU(),
    )  # fmt: skip


def identity_convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution whose first outputs equal its inputs; the others are torch's default."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.detach()[:inputs])
    return layer


def scaleless_norm(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad_(False)
    return layer


def patch_covariance(batches: Iterable[Tensor]) -> Tensor:
    """Mean products of the numbers of all patches of images [n, C, H, W]: float64 [C * 4, C * 4], on the CPU.

    As in the author's code, the mean is not subtracted.
    """
    count, products = 0, torch.zeros(())
    for images in batches:
        patches = F.unfold(images.cpu(), PATCH).double().transpose(0, 1).flatten(1)  # [C * 4, patches]
        count += patches.shape[1]
        products = products + patches @ patches.T
    return products / count


def whitening_filters(covariance: Tensor) -> Tensor:
    """Filters [2 * C * 4, C * 4] whose outputs for patches of this covariance have variance 1, and their negatives."""
    values, vectors = torch.linalg.eigh(covariance)  # vectors are columns
    filters = vectors.T / (values.clamp(min=0) + REGULARIZER).sqrt().unsqueeze(1)
    return torch.cat([filters, -filters])
