"""A network looked at without being changed, and without anything at stake."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from labbook.config.instantiate import cause_chain
from labbook.errors import StoppedBySignal, first_line
from labbook.training.capabilities import spec_of_images
from labbook.training.torch_internals import uncompiled

# A run writes to train.log, and not to the terminal, what Lightning says, of whom this is a part.
details = logging.getLogger("pytorch_lightning.pictures")


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Within this, the network is in evaluation mode and not compiled; then every part of it is as it was."""
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
    """Within this, whatever goes wrong is only noted: no run ends for want of a picture. A signal still ends it."""
    try:
        yield
    except Exception as error:
        for cause in cause_chain(error):  # as torchview hides it behind an error of its own
            if isinstance(cause, StoppedBySignal):
                raise cause from None
        details.info("no %s: %s", what, first_line(error))


def dummy_input(model: LightningModule, purpose: str = "a look at the network") -> Tensor:
    """An image of zeros as the network takes it, [1, C, H, W], on its device: drawing one would use up randomness."""
    spec = spec_of_images(model, purpose)
    return torch.zeros(1, spec.channels, spec.size, spec.size, device=model.device)
