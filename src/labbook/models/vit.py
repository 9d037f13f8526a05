"""Vision Transformer (Dosovitskiy et al., arXiv 2010.11929) for images of any size."""

from bisect import bisect
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Lt
from pydantic import PositiveInt
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.models.small_images import check_patches
from labbook.training.classifier import Classifier, Task

EXPANSION = 4  # of the dense layers in a block
EMBEDDING_STD = 0.02


class ViT(Classifier):
    """The image cut into patches, `depth` blocks of self-attention, and a dense layer.

    Each patch of `patch_size` pixels becomes a token of `width` numbers plus a position embedding; `heads` must divide
    the width. The classification layer gets an extra token (`pool=token`) or the mean of all patches (`pool=mean`).

    Raises:
        SettingError: patches that do not divide the image, or heads that do not divide the width.
    """

    def __init__(
        self,
        spec: ImageSpec,
        task: Task | None = None,
        *,
        patch_size: PositiveInt = 4,
        depth: PositiveInt = 7,
        width: PositiveInt = 256,
        heads: PositiveInt = 4,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        pool: Literal["token", "mean"] = "mean",
    ) -> None:
        super().__init__(spec, task)
        divisors = [size for size in range(1, spec.size + 1) if spec.size % size == 0]
        near = [*divisors[: bisect(divisors, patch_size)][-1:], *divisors[bisect(divisors, patch_size) :][:1]]
        check_patches(spec.size, patch_size, f"model.patch_size={' or '.join(map(str, near))}")
        if width % heads:
            raise SettingError(f"model.heads={heads} must divide model.width={width}: use a divisor of it")
        self.patches = nn.Conv2d(spec.channels, width, patch_size, patch_size)
        count = (spec.size // patch_size) ** 2
        self.token = nn.Parameter(torch.zeros(1, 1, width)) if pool == "token" else None
        self.positions = nn.Parameter(torch.empty(1, count + (pool == "token"), width).normal_(std=EMBEDDING_STD))
        self.blocks = nn.Sequential(*(transformer_block(width, heads, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, spec.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)  # [n, patches, width]
        if self.token is not None:
            tokens = torch.cat([self.token.expand(tokens.shape[0], -1, -1), tokens], 1)
        tokens = self.norm(self.blocks(tokens + self.positions))
        logits: Tensor = self.head(tokens.mean(1) if self.token is None else tokens[:, 0])
        return logits


def transformer_block(width: int, heads: int, dropout: float) -> nn.TransformerEncoderLayer:
    """Self-attention and two dense layers, each after a layer norm and with a shortcut: [n, tokens, width]."""
    return nn.TransformerEncoderLayer(
        width, heads, EXPANSION * width, dropout, activation="gelu", batch_first=True, norm_first=True
    )
