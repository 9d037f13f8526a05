"""Pretrained weights of torchvision: found in torch's cache or downloaded, and loaded as plain data."""

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
from labbook.runs.weights_source import sha256_of

SILENCE = 30  # seconds of silence before a server is given up
ANSWER = 5  # seconds for the Hugging Face hub to answer; its library would try again for minutes

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
    digest = file.stem.rpartition("-")[2]  # the start of its sha256
    try:
        download_once(url, file, digest)
    except (OSError, HTTPException, RuntimeError) as error:
        raise SettingError(
            f"model.pretrained=true: the weights of {name} are missing and cannot be downloaded"
            f" ({first_line(error)}): put {url} at {file}"
        ) from error
    try:
        if not sha256_of(file).startswith(digest):
            raise SettingError(f"{file} is not torchvision's file (its sha256 differs): delete it")
        found: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise SettingError(f"model.pretrained=true: {file} cannot be read ({first_line(error)})") from error
    for before, now in OLD_NAMES:
        found = {before.sub(now, key): value for key, value in found.items()}
    return found


def download_once(url: str, file: Path, digest: str | None = None) -> None:
    """Download a file if it is missing; it appears only when it is complete. `digest` is the start of its sha256.

    Raises:
        OSError, HTTPException, RuntimeError, ValueError: the network's error, or wrong content.
    """
    if file.exists():  # the cache may be writable for administrators only
        return
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with blocking_lock(file.with_suffix(".lock")):  # runs that start together download it once
            if not file.exists():
                torch.hub.download_url_to_file(url, str(file), digest, progress=False)
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def reachable_hub() -> Iterator[None]:
    """Within this context, the Hugging Face hub is read only from its cache if it does not answer soon.

    Raises:
        OSError: it does not answer, and the cache lacks a file.
    """
    from huggingface_hub import constants, get_session

    offline, silence = constants.HF_HUB_OFFLINE, ""
    try:
        get_session().head(constants.ENDPOINT, timeout=ANSWER)
    except Exception as error:  # of its libraries
        constants.HF_HUB_OFFLINE, silence = True, f"{constants.ENDPOINT}: {first_line(error) or type(error).__name__}"
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not silence:
            raise
        raise OSError(silence) from error
    finally:
        constants.HF_HUB_OFFLINE = offline


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
