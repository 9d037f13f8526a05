"""Look at a network without changing it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from labbook.config.instantiate import cause_chain
from labbook.errors import StoppedBySignal, first_line
from labbook.training.capabilities import spec_of_images
from labbook.training.torch_internals import uncompiled

# torchview logs through Lightning, whose messages go to train.log in a run.
details = logging.getLogger("pytorch_lightning.pictures")


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Within this context, the network is in evaluation mode and not compiled; afterwards each part is as before."""
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with uncompiled(model):
            yield
    finally:
        for module, training in before.items():
            module.training = training


@contextmanager
def log_exceptions(what: str) -> Iterator[None]:
    """Within this context, an error is only logged, because no run must end for a plot. A signal still ends it."""
    try:
        yield
    except Exception as error:
        for cause in cause_chain(error):  # torchview hides it behind its own error
            if isinstance(cause, StoppedBySignal):
                raise cause from None
        details.info("no %s: %s", what, first_line(error))


def dummy_input(model: LightningModule, purpose: str = "a look at the network") -> Tensor:
    """An image of zeros for the network, [1, C, H, W], on its device; it uses no random numbers."""
    spec = spec_of_images(model, purpose)
    return torch.zeros(1, spec.channels, spec.size, spec.size, device=model.device)


def multiply_adds(model: LightningModule) -> int:
    """Multiplications, each with its addition, of one image in convolutions, dense layers and attention.

    torch counts a multiplication and its addition as two operations. Gradients stay on, because without them attention
    takes a shortcut that torch does not count.
    """
    with eval_mode(model), FlopCounterMode(display=False) as counter:
        model(dummy_input(model))
    return int(counter.get_total_flops()) // 2
