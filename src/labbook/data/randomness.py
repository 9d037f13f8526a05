"""Randomness drawn from a position: the same (seed, epoch, step) gives the same draws, whatever came before."""

import hashlib
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from labbook.data import random_state


def seeded_generator(device: torch.device, *position: int) -> torch.Generator:
    """A fresh generator for a position, such as (seed, epoch, step, rank)."""
    return torch.Generator(device).manual_seed(seed_from(*position))


def seed_from(*position: int) -> int:
    """63 random bits for a position."""
    digest = hashlib.blake2b(struct.pack(f"<{len(position)}q", *position), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def random_permutation(count: int, *position: int) -> torch.Tensor:
    """A random order of `count` items on the CPU, int64 [count]."""
    return torch.randperm(count, generator=seeded_generator(torch.device("cpu"), *position))


def random_bits(rows: torch.Tensor, *position: int) -> torch.Tensor:
    """A fair coin for each row, bool [n]: the same for the same position and row, whichever rows are beside it.

    The rows, counted on from the position's number, are mixed as in splitmix64 (Steele, Lea and Flood, 2014). int64
    takes the place of its unsigned numbers: products wrap around, and a shift leaves copies of the sign, masked here.
    """
    mixed = rows + seed_from(*position)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (64 - shift)) - 1))) * (factor - 2**64)
    return (mixed >> 40) & 1 == 1


@contextmanager
def seed_global_generators(seed: int, device: torch.device) -> Iterator[None]:
    """Within this, code that draws from global generators starts from `seed`; afterwards they are as they were.

    The generators are those of torch, on the CPU and on `device`, of NumPy and of Python.
    """
    before = random_state.get_rng_states(device), np.random.get_state(), random.getstate()
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
        random_state.set_rng_states(before[0], device)
        np.random.set_state(before[1])
        random.setstate(before[2])
