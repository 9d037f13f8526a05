"""The smallest image size of a network that does not declare it."""

import warnings
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace

import torch

from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError, first_line
from labbook.training.classifier import Classifier

LARGEST = 512  # pixels tried

Make = Callable[[ImageSpec], Classifier]


def check_image_size(make: Make, spec: ImageSpec, error: Exception | None = None) -> None:
    """Refuse images that are too small for a network, which is tried on the meta device.

    If larger images fail too, the size is not the cause, and nothing is raised. `error` is what creating the network
    raised.
    """
    with torch.random.fork_rng(devices=[]):
        found = error or failure_on_meta(make, spec)
        if found is None or (smallest := smallest_working_size(make, spec)) is None:
            return
    raise SettingError(
        f"the network needs images of at least {smallest} pixels and the data gives {spec.size} ({first_line(found)}):"
        f" use data.image_size={smallest} or more, and min_size = {smallest} in its class says so"
    ) from found


def failure_on_meta(make: Make, spec: ImageSpec) -> Exception | None:
    """The error of a new network for one image on the meta device.

    None if it returns logits, or if it cannot be tried because the network takes more than images.
    """
    try:
        with warnings.catch_warnings(action="ignore"), torch.device("meta"), torch.no_grad():
            network = make(spec).eval()
            if not network.further_inputs.needed:
                network(torch.empty(1, spec.channels, spec.size, spec.size))
    except Exception as error:  # a user's network can raise anything
        return error
    return None


def smallest_working_size(make: Make, spec: ImageSpec) -> int | None:
    """The smallest size above that of `spec` that works, by bisection; None if there is none."""
    sizes = range(LARGEST + 1)
    size = bisect_left(sizes, True, spec.size + 1, key=lambda size: not failure_on_meta(make, replace(spec, size=size)))
    return size if size in sizes else None
