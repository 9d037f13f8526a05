"""Train only the last layers of a network: `model.freeze`."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from labbook.errors import SettingError, first_line

BACKBONE = "backbone"


def frozen_layers(freeze: Any, layers: int) -> int:
    """The number of layers that a value of `model.freeze` freezes, of so many layers."""
    if freeze in (None, "none"):
        return 0
    if layers < 2:
        raise SettingError(f"model.freeze={freeze} would leave nothing to train: the network has one layer")
    if freeze == BACKBONE:
        return layers - 1
    if not isinstance(freeze, int) or isinstance(freeze, bool) or not 0 < freeze < layers:
        raise SettingError(
            f"model.freeze={freeze} must be none, backbone (all layers except the last) or a number of layers from 1 to"
            f" {layers - 1}, counted from the images"
        )
    return freeze


class Freezing:
    """Freezes the first layers of a network: no gradients, no updates of batch norm, no dropout.

    `layers`: the layers from the images to the classes, each as a list of modules. A parameter in no layer, such as a
    token, is frozen as long as any layer is. Parameters that the network itself does not train stay so.
    """

    def __init__(self, network: nn.Module, layers: Sequence[Sequence[nn.Module]]) -> None:
        self.network, self.layers = network, layers
        self.trainable = [item for item in network.parameters() if item.requires_grad]
        self.count = 0
        self._at_rest: list[nn.Module] = []

    def freeze(self, count: int) -> None:
        """Freeze the first `count` layers, and no others."""
        self.count = count
        trained = {id(item) for layer in self.layers[count:] for module in layer for item in module.parameters()}
        for item in self.trainable:
            item.requires_grad_(count == 0 or id(item) in trained)
        self._at_rest = self._modules_at_rest(trained) if count else []
        self.network.train(self.network.training)

    def rest(self) -> None:
        """Put the frozen modules into evaluation mode."""
        for module in self._at_rest:
            module.training = False

    def _modules_at_rest(self, trained: set[int]) -> list[nn.Module]:
        """Modules with frozen parameters, and those without parameters before the last one of them."""
        _, *modules = self.network.modules()
        held = [any(id(item) not in trained for item in module.parameters()) for module in modules]
        last = max((place for place, is_held in enumerate(held) if is_held), default=0)
        return [
            module
            for place, (module, is_held) in enumerate(zip(modules, held, strict=True))
            if is_held or (place < last and next(module.parameters(), None) is None)
        ]


def check_layer_order(network: nn.Module, layers: Sequence[Sequence[nn.Module]], images: torch.Tensor) -> None:
    """Refuse layers that the network executes in another order, or not at all.

    A copy of the network runs once with `images` [2, channels, size, size], both on the meta device.
    """
    paths = {id(module): path for path, module in network.named_modules()}
    copied = copy.deepcopy(network).to("meta").eval()
    order: list[int] = []
    for place, layer in enumerate(layers):
        for module in layer:
            note_place = partial(lambda place, *_: order.append(place), place)
            copied.get_submodule(paths[id(module)]).register_forward_hook(note_place)
    failure = ""
    try:
        copied(images)
    except Exception as error:  # a user's network can raise anything
        failure = f" ({first_line(error)})"
    if failure or list(dict.fromkeys(order)) != list(range(len(layers))):
        raise SettingError(
            f"model.freeze: {type(network).__name__} does not execute its layers in the order of their registration"
            f"{failure}: define ordered_layers, the layers from the images to the classes"
        )
