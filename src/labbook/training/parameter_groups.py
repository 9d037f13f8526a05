"""What the optimizer is given: the parameters in groups, each with its own share of learning rate and decay."""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from torch import nn
from torch.optim import Optimizer

from labbook.errors import SettingError

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
NORMALIZATIONS = (*BATCH_NORMS, *INSTANCE_NORMS, nn.GroupNorm, nn.LayerNorm)
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class Factors(NamedTuple):
    """By how much a parameter's settings differ from the optimizer's own."""

    lr: float = 1.0
    weight_decay: float = 1.0


def group_parameters(
    network: nn.Module,
    layers: Sequence[Sequence[nn.Module]],
    optimizer: Callable[..., Optimizer],
    *,
    norm_bias_lr_factor: float = 1.0,
    layer_lr_decay: float = 1.0,
    backbone_lr_factor: float = 1.0,
) -> list[dict[str, Any]]:
    """All that is trained, in a group for each pair of learning rate and decay; first what has the optimizer's own.

    The factors multiply. The learning rate falls by `layer_lr_decay` with each of the `layers` from the last one
    towards the images (Bao et al., arXiv 2106.08254), and `backbone_lr_factor` holds for all layers but the last.
    What is in no layer, such as a token of its own, belongs to the first. The biases of normalisation layers learn
    `norm_bias_lr_factor` times as fast and are decayed by as many times less, so that each step takes the same part of
    them away.
    """
    depth = len(layers) - 1
    by_layer = [
        layer_lr_decay ** (depth - index) * (backbone_lr_factor if index < depth else 1.0)
        for index in range(len(layers))
    ]
    rates = {
        id(item): rate
        for rate, modules in zip(by_layer, layers, strict=True)
        for module in modules
        for item in module.parameters()
    }
    normalizations = [module for module in network.modules() if isinstance(module, NORMALIZATIONS)]
    biases = {id(module.bias) for module in normalizations if module.bias is not None}
    found: dict[Factors, list[nn.Parameter]] = {}
    for item in network.parameters():
        if item.requires_grad:
            own = norm_bias_lr_factor if id(item) in biases else 1.0
            factors = Factors(rates.get(id(item), by_layer[0]) * own, 1 / own)
            found.setdefault(factors, []).append(item)
    settings = inspect.signature(optimizer).parameters
    return [
        {"params": found[factors]}
        | {
            name: settings[name].default * factor
            for name, factor in factors._asdict().items()
            if factor != 1 and name in settings
        }
        for factors in sorted(found, key=lambda factors: factors != Factors())
    ]


def check_rates_kept(before: Sequence[float], optimizer: Optimizer, scheduler: object) -> None:
    """Refuse a scheduler that has set the learning rates without regard to how they were related `before`."""
    after = [float(group["lr"]) for group in optimizer.param_groups]
    if any(
        not math.isclose(own * before[0], after[0] * was, rel_tol=1e-6) for own, was in zip(after, before, strict=True)
    ):
        raise SettingError(
            f"scheduler: {type(scheduler).__name__} sets the same learning rate for all layers, which overrides"
            " task.layer_lr_decay, task.backbone_lr_factor and task.norm_bias_lr_factor: use one of"
            " labbook.training.schedulers"
        )


# The layers of a network -----------------------------------------------------------------------------------------


def ordered_layers_of(network: nn.Module) -> list[list[nn.Module]]:
    """The layers with weights in the order of registration, each as the modules that it is made of.

    Containers, what holds a stack of blocks, and what holds the classifying layer (the last dense one) are looked into;
    a block (an attention block, a residual block) is one layer. What has vectors alone, as normalisation, belongs to
    the layer before it.
    """
    dense = [module for module in network.modules() if isinstance(module, nn.Linear)]
    layers: list[list[nn.Module]] = []
    early: list[nn.Module] = []  # vectors before the first weights
    for module in module_units(network, dense[-1] if dense else None):
        if any(item.ndim > 1 for item in module.parameters()):
            layers.append([*early, module])
            early = []
        elif layers:
            layers[-1].append(module)
        else:
            early.append(module)
    return layers or [early or [network]]


def module_units(module: nn.Module, head: nn.Module | None) -> Iterator[nn.Module]:
    """What a network is made of, down to its blocks and to its classifying layer, without what has no parameters."""
    for child in module.children():
        if isinstance(child, CONTAINERS) or (child is not head and is_divided(child, head)):
            yield from module_units(child, head)
        elif next(child.parameters(), None) is not None:
            yield child


def is_divided(module: nn.Module, head: nn.Module | None) -> bool:
    """Whether a module is more than one layer: the classifying layer or a stack of blocks is somewhere inside."""
    return any(inner is head or is_stack(inner) for inner in module.modules())


def is_stack(module: nn.Module) -> bool:
    """Whether a container has several blocks of the same class, each with several weights."""
    if not isinstance(module, CONTAINERS):
        return False
    weights = {child: sum(item.ndim > 1 for item in child.parameters()) for child in module.children()}
    blocks = [type(child) for child, count in weights.items() if count > 1]
    return any(blocks.count(kind) > 1 and not issubclass(kind, CONTAINERS) for kind in blocks)
