"""Changes to torchvision's networks, made for 224 pixels, for small images and for other numbers of channels.

With a small stem the first convolution has a 3 x 3 kernel with stride 1. The first pooling is removed, as in ResNet for
CIFAR (He et al., arXiv 1512.03385, section 4.2). Networks with patches use smaller ones. VGG, which has no stem,
loses its last pooling, and its dense layers get one pixel instead of 7 x 7.
"""

import math

from torch import nn
from torchvision.models import VGG
from torchvision.models.vision_transformer import VisionTransformer

from labbook.errors import SettingError

CONVOLVED_PATCH, TOKEN_PATCH = 2, 4  # pixels: ConvNeXt's and the Vision Transformer's for small images; else 4 and 16


def change_stem(network: nn.Module, channels: int, small: bool) -> None:
    """Give a convolutional network a first layer for this number of channels, and optionally for small images."""
    path, first = next((path, layer) for path, layer in network.named_modules() if isinstance(layer, nn.Conv2d))
    if not small and channels == first.in_channels:
        return
    shape: dict[str, object] = {
        "kernel_size": first.kernel_size, "stride": first.stride, "padding": first.padding
    }  # fmt: skip
    if small:
        patches = first.kernel_size == first.stride
        shape = (
            {"kernel_size": CONVOLVED_PATCH, "stride": CONVOLVED_PATCH} if patches else {"kernel_size": 3, "padding": 1}
        )
        drop_pooling(network)
    layer = nn.Conv2d(channels, first.out_channels, **shape, bias=first.bias is not None)  # type: ignore[arg-type]
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    network.set_submodule(path, layer)


def drop_pooling(network: nn.Module) -> None:
    """Remove the first pooling, or all that VGG does after its last convolution."""
    pools = [path for path, layer in network.named_modules() if isinstance(layer, nn.MaxPool2d)]
    if isinstance(network, VGG):
        network.set_submodule(pools[-1], nn.Identity())
        shrink_dense(network)
    elif pools:
        network.set_submodule(pools[0], nn.Identity())


def shrink_dense(network: VGG) -> None:
    """Give VGG's dense layers the mean over all pixels: 7 x 7 pixels of a smaller image would be copies."""
    dense = network.classifier[0]
    assert isinstance(dense, nn.Linear)
    network.avgpool = nn.AdaptiveAvgPool2d(1)
    network.classifier[0] = nn.Linear(dense.in_features // 7**2, dense.out_features)
    nn.init.normal_(network.classifier[0].weight, 0, 0.01)  # as torchvision initializes the others
    nn.init.zeros_(network.classifier[0].bias)


def resize_patches(network: VisionTransformer, size: int, channels: int, small: bool) -> None:
    """Give a Vision Transformer the patches and position embeddings for images of this size."""
    patch, before = TOKEN_PATCH if small else network.patch_size, network.conv_proj
    assert isinstance(before, nn.Conv2d)
    small_patches = not small and size % TOKEN_PATCH == 0
    check_patches(size, patch, "model.small_stem=true (without pretrained weights)" if small_patches else "")
    if (patch, channels) != (network.patch_size, before.in_channels):
        layer = nn.Conv2d(channels, network.hidden_dim, patch, patch)
        nn.init.trunc_normal_(layer.weight, std=math.sqrt(1 / (channels * patch**2)))  # as torchvision initializes it
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        network.conv_proj = layer
    tokens = (size // patch) ** 2 + 1  # and the class token
    embedding = network.encoder.pos_embedding
    if embedding.shape[1] != tokens:
        network.encoder.pos_embedding = nn.Parameter(
            embedding.new_empty(1, tokens, network.hidden_dim).normal_(std=0.02)
        )
    network.image_size, network.patch_size, network.seq_length = size, patch, tokens


def check_patches(size: int, patch: int, instead: str) -> None:
    """Refuse an image size that is no multiple of the patch size."""
    if size % patch:
        below = size // patch * patch
        nearest = f"{below} or {below + patch}" if below else str(patch)
        raise SettingError(
            f"images of {size} pixels cannot be cut into patches of {patch}: use"
            f" {f'{instead}, or ' if instead else ''}data.image_size={nearest}"
        )
