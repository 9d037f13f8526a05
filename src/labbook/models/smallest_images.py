"""How small the images of a network may be that does not say it itself."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import torch

from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError, first_line
from labbook.training.classifier import Classifier

LARGEST = 512  # pixels that are tried

Make = Callable[[ImageSpec], Classifier]


def check_image_size(make: Make, spec: ImageSpec, error: Exception | None = None) -> None:
    """Refuse images that are too small for a network, which is tried without any numbers in it.

    Nothing is said where larger images fail as well, as then their size is not the cause. `error` is what making the
    network ended with.
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
    """What an image ends with in a new network on the meta device.

    None where it comes to logits, and where it cannot be tried, as the network takes more than images.
    """
    try:
        with warnings.catch_warnings(action="ignore"), torch.device("meta"), torch.no_grad():
            network = make(spec).eval()
            if not network.further_inputs.needed:
                network(torch.empty(1, spec.channels, spec.size, spec.size))
    except Exception as error:  # there is no end to what a network of a user's own can raise
        return error
    return None


def smallest_working_size(make: Make, spec: ImageSpec) -> int | None:
    """The smallest size above that of `spec` that works, found by halving; None where none is found."""
    below, size = spec.size, spec.size + 1
    while failure_on_meta(make, replace(spec, size=size)) is not None:
        below, size = size, 2 * size
        if size > LARGEST:
            return None
    while size - below > 1:
        middle = (below + size) // 2
        if failure_on_meta(make, replace(spec, size=middle)) is None:
            size = middle
        else:
            below = middle
    return size
