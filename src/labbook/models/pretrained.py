"""Pretrained weights of torchvision: found in torch's cache or downloaded, and loaded as plain data."""

import hashlib
import re
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn
from torchvision import models

from labbook.data.image_spec import IMAGENET_MEAN, IMAGENET_STD
from labbook.errors import SettingError, first_line
from labbook.files import blocking_lock

SILENCE = 30  # seconds of silence before a server is given up

# Layer names in old files, and their names now.
OLD_NAMES = (
    (re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d\.)"), r"\1\2"),  # DenseNet's
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),  # of Vision Transformers
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
)


def recommended_weights(name: str) -> Any:
    return models.get_model_weights(name).DEFAULT


def image_settings(name: str) -> dict[str, Any]:
    shown = recommended_weights(name).transforms()
    mean, std = tuple(shown.mean), tuple(shown.std)
    known = (mean, std) == (IMAGENET_MEAN, IMAGENET_STD)
    normalize = "imagenet" if known else {"mean": list(mean), "std": list(std)}
    return {"image_size": int(shown.crop_size[0]), "channels": 3, "normalize": normalize}


def pretrained_state_dict(name: str) -> dict[str, Tensor]:
    url = str(recommended_weights(name).url)
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
    if not file.exists():  # the cache may be writable for administrators only
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with blocking_lock(file.with_suffix(".lock")):  # runs that start together download it once
                if not file.exists():
                    download_weights(url, file)
        except (OSError, HTTPException, RuntimeError) as error:
            raise SettingError(
                f"model.pretrained=true: the weights of {name} are missing and cannot be downloaded"
                f" ({first_line(error)}): put {url} at {file}"
            ) from error
    try:
        if not matches_digest(file):
            raise SettingError(f"{file} is not torchvision's file (its sha256 differs): delete it")
        found: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise SettingError(f"model.pretrained=true: {file} cannot be read ({first_line(error)})") from error
    return {current_layer_name(key): value for key, value in found.items()}


def current_layer_name(key: str) -> str:
    for before, now in OLD_NAMES:
        key = before.sub(now, key)
    return key


def download_weights(url: str, file: Path) -> None:
    """Download a file whose name has the start of its sha256; it appears only when it is complete.

    Raises:
        OSError, HTTPException, RuntimeError: the network's error, or wrong content.
    """
    with socket_timeout():
        torch.hub.download_url_to_file(url, str(file), digest_in_name(file), progress=False)


@contextmanager
def socket_timeout() -> Iterator[None]:
    """Within this context, a silent server is given up after a time."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def digest_in_name(file: Path) -> str:
    return file.stem.rpartition("-")[2]


def matches_digest(file: Path) -> bool:
    """Whether the content has the sha256 in the name."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest().startswith(digest_in_name(file))


def load_pretrained(network: nn.Module, weights: Mapping[str, Tensor], but: Collection[str]) -> None:
    """Load pretrained weights; the layers `but`, for other classes, keep their initial weights."""
    own = {
        key: value
        for key, value in network.state_dict().items()
        if not key.startswith(tuple(f"{layer}." for layer in but)) and "num_batches_tracked" not in key
    }
    for key, value in own.items():
        if key not in weights or weights[key].shape != value.shape:
            raise SettingError(
                f"model.pretrained=true: the pretrained weights have no {key} of shape {tuple(value.shape)}"
            )
    network.load_state_dict({key: weights[key] for key in own}, strict=False)
