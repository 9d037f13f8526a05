"""All private names of torch that the package uses; tests/training/test_torch_internals.py checks them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.optim import Optimizer

COMPILED = "_compiled_call_impl"  # what a compiled module calls


def cpu_multiplies_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def unscales_in_step(optimizer: Optimizer) -> bool:
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


@contextmanager
def uncompiled(model: nn.Module) -> Iterator[None]:
    """Within this context, no part of a network is compiled."""
    compiled = {module: vars(module).pop(COMPILED) for module in model.modules() if COMPILED in vars(module)}
    try:
        yield
    finally:
        for module, call in compiled.items():
            vars(module)[COMPILED] = call


def accept_any_state_version(module: nn.Module) -> None:
    """Load state dicts without a version too, as of files with tensors only; torchvision's MNASNet refuses them."""
    module._load_from_state_dict = partial(nn.Module._load_from_state_dict, module)  # type: ignore[method-assign]
