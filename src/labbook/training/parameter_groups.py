"""Parameter groups of an optimizer, each with its learning rate and weight decay."""

import inspect
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from torch import nn
from torch.optim import Optimizer

from labbook.errors import SettingError

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
NORMALIZATIONS = (*BATCH_NORMS, *INSTANCE_NORMS, nn.GroupNorm, nn.LayerNorm)
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def batch_norms(network: nn.Module) -> list[Any]:
    """The layers of batch normalisation that keep statistics."""
    return [item for item in network.modules() if isinstance(item, BATCH_NORMS) and item.track_running_stats]


class Factors(NamedTuple):
    """Factors of a parameter's learning rate and weight decay."""

    lr: float = 1.0
    weight_decay: float = 1.0


def group_parameters(
    network: nn.Module,
    layers: Sequence[Sequence[nn.Module]],
    optimizer: Callable[..., Optimizer],
    *,
    trained: Collection[nn.Parameter] | None = None,
    norm_bias_lr_factor: float = 1.0,
    layer_lr_decay: float = 1.0,
    backbone_lr_factor: float = 1.0,
) -> list[dict[str, Any]]:
    """The parameters `trained`, in a group for each pair of learning rate and decay; the optimizer's own values first.

    The default of `trained` is all that need gradients.

    The factors multiply. The learning rate is multiplied by `layer_lr_decay` for each layer from the last one towards
    the images (Bao et al., arXiv 2106.08254); `backbone_lr_factor` applies to all layers but the last. A parameter in
    no layer, such as a token, belongs to the first. Biases of normalisation layers learn `norm_bias_lr_factor` times as
    fast, with a decay divided by it, so each step takes the same fraction of them away.
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
    wanted = {id(item) for item in trained or ()}
    for item in network.parameters():
        if id(item) in wanted or (trained is None and item.requires_grad):
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
    """Refuse a scheduler that did not keep the ratios of the learning rates in `before`."""
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
    """The layers with weights in order of registration, each as a list of modules.

    Containers, stacks of blocks, and the module with the classification layer (the last dense one) are divided. A block
    (an attention block, a residual block) is one layer. A layer with vectors only, such as normalisation, belongs to
    the one before it.
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
    """The blocks and the classification layer of a network, without modules that have no parameters."""
    for child in module.children():
        inside = child.modules() if child is not head else ()
        if isinstance(child, CONTAINERS) or any(inner is head or is_stack(inner) for inner in inside):
            yield from module_units(child, head)
        elif next(child.parameters(), None) is not None:
            yield child


def is_stack(module: nn.Module) -> bool:
    """Whether a container has several blocks of the same class, each with several weights."""
    if not isinstance(module, CONTAINERS):
        return False
    weights = {child: sum(item.ndim > 1 for item in child.parameters()) for child in module.children()}
    blocks = [type(child) for child, count in weights.items() if count > 1]
    return any(blocks.count(kind) > 1 and not issubclass(kind, CONTAINERS) for kind in blocks)
