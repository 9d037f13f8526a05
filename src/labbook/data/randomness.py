"""Randomness drawn from a position: the same (seed, epoch, step) gives the same draws, whatever came before."""

import hashlib
import struct

import torch


def generator(device: torch.device, *position: int) -> torch.Generator:
    """A fresh generator for a position, such as (seed, epoch, step, rank)."""
    digest = hashlib.blake2b(struct.pack(f"<{len(position)}q", *position), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little") >> 1)


def permutation(count: int, *position: int) -> torch.Tensor:
    """A random order of `count` items on the CPU, int64 [count]."""
    return torch.randperm(count, generator=generator(torch.device("cpu"), *position))
