"""Random numbers from a position: the same (seed, epoch, step) gives the same numbers, whatever was drawn before."""

import hashlib
import random
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def seeded_generator(device: torch.device, *position: int) -> torch.Generator:
    """A new generator for a position, such as (seed, epoch, step, rank)."""
    return torch.Generator(device).manual_seed(seed_from(*position))


def seed_from(*position: int) -> int:
    """63 random bits for a position."""
    digest = hashlib.blake2b(struct.pack(f"<{len(position)}q", *position), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def random_permutation(count: int, *position: int) -> Tensor:
    """A random order of `count` items on the CPU, int64 [count]."""
    return torch.randperm(count, generator=seeded_generator(torch.device("cpu"), *position))


def random_bits(rows: Tensor, *position: int) -> Tensor:
    """A random bit for each row, bool [n], which depends on the position and the row only, not on the other rows.

    Row plus seed of the position is mixed as in splitmix64 (Steele, Lea and Flood, 2014), with int64 instead of
    unsigned numbers. Products wrap around, and the copies of the sign that a shift leaves are masked.
    """
    mixed = rows + seed_from(*position)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (64 - shift)) - 1))) * (factor - 2**64)
    return (mixed >> 40) & 1 == 1


@contextmanager
def seed_global_generators(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators of torch (CPU and `device`), NumPy and Python, and restore them at the end."""
    before = get_rng_states(device), np.random.get_state(), random.getstate()
    try:
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        yield
    finally:
        set_rng_states(before[0], device)
        np.random.set_state(before[1])
        random.setstate(before[2])


def get_rng_states(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's global generators on the CPU and on `device`, uint8, by type of device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_rng_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Restore the states; one of another type of device is ignored."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])
