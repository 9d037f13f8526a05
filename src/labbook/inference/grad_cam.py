"""Grad-CAM (Selvaraju et al., 2017, arXiv 1610.02391): which regions of an image raise the score of a class.

The rule for the layer: it is the last one with a gradient of all outputs with positions, [n, C, h, h]. Their h is above
1 and not larger than that of the output before. Tokens [n, h * h, C] behind an output with h x h positions count too.
Up to `PREFIX` other tokens, such as a class token, can be before them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labbook.errors import SettingError, list_choices
from labbook.training.classifier import Classifier
from labbook.training.probe import eval_mode

PREFIX = 5  # tokens before those of the image
NEAR = 8  # layers in an error message


@dataclass(frozen=True)
class CamLayer:
    """A layer whose output has positions."""

    name: str  # in the network
    side: int  # positions along a side
    prefix: int = 0  # tokens before those of the positions
    channels_last: bool = False  # [n, side, side, C]

    def as_maps(self, output: Tensor) -> Tensor:
        """An output, or its gradient, as [n, C, side, side]."""
        if output.ndim == 3:
            return output[:, self.prefix :].transpose(1, 2).reshape(len(output), -1, self.side, self.side)
        return output.permute(0, 3, 1, 2) if self.channels_last else output


def layer_with_positions(name: str, output: object, side: int) -> CamLayer | None:
    """The layer of an output, if it has positions; `side` is that of the last output with positions before."""
    if not isinstance(output, Tensor) or not output.requires_grad:
        return None
    shape = output.shape
    if len(shape) == 4 and shape[2] == shape[3] and 1 < shape[2] <= side:
        return CamLayer(name, shape[2])
    if len(shape) == 4 and shape[1] == shape[2] and 1 < shape[1] <= side:
        return CamLayer(name, shape[1], channels_last=True)
    if len(shape) == 3 and side > 1 and 0 <= (prefix := shape[1] - side**2) <= PREFIX:
        return CamLayer(name, side, prefix)
    return None


def find_layer(model: Classifier, name: str | None = None) -> CamLayer:
    """The layer `name`, or the one that the rule of this module gives."""
    spec, found = model.spec, dict[str, tuple[CamLayer, Tensor]]()
    side = spec.size

    def keep(name: str, output: Any) -> None:
        nonlocal side
        if layer := layer_with_positions(name, output, side):
            side = layer.side
            found.pop(name, None)  # of a module that is used several times, the last output counts
            found[name] = (layer, output)

    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (1, spec.channels, spec.size, spec.size), dtype=torch.uint8, generator=random)
    with outputs_of(model, keep), torch.enable_grad():
        score = model(spec.normalize(pixels.to(model.device)).requires_grad_()).max()
    if name is not None and name not in found:
        last = list_choices(name, list(found)[-NEAR:], "the last")
        raise SettingError(f"{name} is not a layer with positions; {last}")
    candidates = [found[name]] if name is not None else list(found.values())
    gradients = torch.autograd.grad(score, [output for _, output in candidates], allow_unused=True) if found else ()
    for (layer, _), gradient in zip(reversed(candidates), reversed(gradients), strict=True):
        if gradient is not None and layer.as_maps(gradient).any():
            return layer
    raise SettingError(
        f"Grad-CAM needs a layer whose output has positions in the image, and {name or model.title} has none"
    )


@contextmanager
def outputs_of(model: nn.Module, keep: Callable[[str, Any], None], *names: str) -> Iterator[None]:
    """Within this context, `keep` gets the name and the output of each module (of those called `names`, if any)."""
    hooks = [
        module.register_forward_hook(lambda *call, name=name: keep(name, call[-1]))
        for name, module in model.named_modules()
        if name and (not names or name in names)
    ]
    try:
        with eval_mode(model):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def grad_cam(model: Classifier, layer: CamLayer, images: Tensor, targets: Tensor) -> Tensor:
    """Heat maps of normalized images [n, C, H, W] for the classes `targets`, int64 [n]: [n, H, W], 0 or more."""
    kept: list[Tensor] = []
    with outputs_of(model, lambda _, output: kept.append(output), layer.name), torch.enable_grad():
        scores = model(images.clone().requires_grad_()).gather(1, targets[:, None])
    (gradient,) = torch.autograd.grad(scores.sum(), kept[-1:])
    weights = layer.as_maps(gradient).mean((2, 3), keepdim=True)
    maps = (weights * layer.as_maps(kept[-1])).sum(1, keepdim=True).relu().detach()
    return F.interpolate(maps.float(), images.shape[-2:], mode="bilinear").squeeze(1)
