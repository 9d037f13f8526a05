"""Where the random numbers of torch stand, on the CPU and on the device that trains: taken, and put back."""

from collections.abc import Mapping

import torch
from torch import Tensor


def get_rng_states(device: torch.device) -> dict[str, Tensor]:
    """The states, each uint8 on the CPU, by the device's kind."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_rng_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Go on from there; the state of a device of another kind is of no use."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])
