"""An image size for a network that does not declare which ones it takes."""

import warnings
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace

import torch

from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError, first_line
from labbook.training.classifier import Classifier

# Sizes tried: the next multiples of usual patches and windows, and larger ones.
MULTIPLES = (4, 7, 8, 14, 16, 28, 32)
LARGER = (*range(64, 513, 64), 224)

Make = Callable[[ImageSpec], Classifier]


def check_image_size(make: Make, spec: ImageSpec, error: Exception | None = None) -> None:
    """Refuse images of a size that a network does not take; it is tried on the meta device.

    If larger images fail too, the size is not the cause, and nothing is raised. `error` is what creating the network
    raised.
    """
    with torch.random.fork_rng(devices=[]):
        found = error or failure_on_meta(make, spec)
        if found is None or (smallest := smallest_working_size(make, spec)) is None:
            return
        more = " or more" if failure_on_meta(make, replace(spec, size=smallest + 1)) is None else ""
    raise SettingError(
        f"the network does not take images of {spec.size} pixels ({first_line(found) or type(found).__name__}): use"
        f" data.image_size={smallest}{more}"
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
    """A size above that of `spec` that works, though one less does not; None if there is none."""

    def works(size: int) -> bool:
        return failure_on_meta(make, replace(spec, size=size)) is None

    tried = sorted({*((spec.size // step + 1) * step for step in MULTIPLES), *LARGER})
    above = next((size for size in tried if size > spec.size and works(size)), None)
    return above and bisect_left(range(above), True, spec.size + 1, key=works)
