"""Initial weights for any network, from a file, a run, a URL or the Hugging Face hub: `model.weights`."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from labbook.errors import SettingError, first_line, list_first, missing_package_message, printable
from labbook.models.pretrained import download_once, reachable_hub
from labbook.runs.weights_source import check_suffix, local_weights, sha256_of

PREFIX = re.compile(r"^(?:module|_orig_mod|model|backbone|network|net)\.")  # that a wrapper adds to the names
INSIDE = ("state_dict", "model_state_dict", "model_state", "model_ema", "model", "net", "weights")  # of a saved mapping
COUNTERS = "num_batches_tracked"  # of batch norm
HUB_FILE = "model.safetensors"


@dataclass(frozen=True)
class LoadedWeights:
    """What a network took from a file of weights. A layer is a module with tensors of its own."""

    source: str
    sha256: str  # of the file
    layers: int  # whose tensors were all taken
    other_shapes: tuple[str, ...]  # layers, which keep their initial weights
    missing: tuple[str, ...]  # layers that the file does not have
    unused: int  # tensors of the file that the network does not have
    by_order: bool = False  # the names differ, so tensors were matched by their order

    def __str__(self) -> str:
        every = self.layers + len(self.other_shapes) + len(self.missing)
        parts = [f"initial weights of {self.layers} of {every} layers from {printable(self.source)}"]
        if self.by_order:
            parts.append("matched by order, because their names differ")
        if self.other_shapes:
            parts.append(f"other shapes: {list_first(self.other_shapes)}")
        if self.missing:
            parts.append(f"not in the file: {list_first(self.missing)}")
        if self.unused:
            parts.append(f"not used: {self.unused} tensors of the file")
        return "; ".join(parts)


def load_weights_from(network: nn.Module, source: str) -> LoadedWeights:
    """Load the weights that fit a network, by name and shape, or by order if this fits more tensors.

    `source` is a file (.safetensors, .pth, .pt, .ckpt), the folder of a run, a URL, or hf://OWNER/NAME[/FILE]. A layer
    is loaded whole or not at all.

    Raises:
        SettingError: a source that cannot be read, or no layer that fits.
    """
    file = weights_file(source)
    stored, own = read_tensors(file, source), network.state_dict()
    names = match_by_name(own, stored)
    if by_order := fits(own, stored, match_by_order(own, stored)) > fits(own, stored, names):
        names = match_by_order(own, stored)
    layers: dict[str, list[str]] = {}
    for name in without_counters(own):
        layers.setdefault(layer_of(name), []).append(name)
    taken, other_shapes, missing = [], [], []
    for layer, members in layers.items():
        if not names.keys() >= set(members):
            missing.append(layer)
        elif fits(own, stored, {name: names[name] for name in members}) < len(members):
            other_shapes.append(layer)
        else:
            taken += members
    if not taken:
        known = list_first([name for members in layers.values() for name in members], 3)
        raise SettingError(
            f"model.weights={source} has no layer of this network: the network has {known}, and the file"
            f" {list_first(stored, 3) or 'nothing'}"
        )
    network.load_state_dict({name: stored[names[name]] for name in taken}, strict=False)
    whole = len(layers) - len(other_shapes) - len(missing)
    unused = len(without_counters(stored)) - len(without_counters(names.values()))
    return LoadedWeights(source, sha256_of(file), whole, tuple(other_shapes), tuple(missing), unused, by_order)


# Matching --------------------------------------------------------------------------------------------------------


def match_by_name(own: Iterable[str], stored: Iterable[str]) -> dict[str, str]:
    """The tensor of a file for each tensor of a network with the same name, without prefixes of wrappers."""
    given = {short: name for name, short in without_prefixes(stored).items()}
    return {name: given[short] for name, short in without_prefixes(own).items() if short in given}


def match_by_order(own: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> dict[str, str]:
    """The tensor of a file for each tensor of a network in the same order, for other implementations of a network.

    Nothing unless all tensors before the last layer agree in shape and in the last part of the name, such as bias.
    """
    names, others = without_counters(own), without_counters(stored)

    def agree(name: str, other: str) -> bool:
        same_part = name.rpartition(".")[2] == other.rpartition(".")[2]
        return same_part and own[name].shape == stored[other].shape

    pairs = dict(takewhile(lambda pair: agree(*pair), zip(names, others, strict=False)))
    rests = names[len(pairs) :], others[len(pairs) :]
    return {} if any(len(set(map(layer_of, rest))) > 1 for rest in rests) else pairs


def fits(own: Mapping[str, Tensor], stored: Mapping[str, Tensor], names: Mapping[str, str]) -> int:
    """The number of matched tensors with the same shape."""
    return sum(own[name].shape == stored[other].shape for name, other in names.items())


def layer_of(name: str) -> str:
    """The layer that a tensor belongs to; a parameter of the network itself is a layer of its own."""
    return name.rpartition(".")[0] or name


def without_counters(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.endswith(COUNTERS)]


def without_prefixes(names: Iterable[str]) -> dict[str, str]:
    """Names of tensors without prefixes of wrappers, as long as they differ: of two networks each keeps its own."""
    short = {name: name for name in names}
    while (shorter := {name: PREFIX.sub("", kept) for name, kept in short.items()}) != short:
        if len(set(shorter.values())) < len(short):
            break
        short = shorter
    return short


# Sources ---------------------------------------------------------------------------------------------------------


def weights_file(source: str) -> Path:
    """The file that a value of `model.weights` means; downloaded files are kept in the caches of torch and the hub."""
    scheme, separator, rest = source.partition("://")
    if not separator:
        return local_weights(source)
    if scheme == "hf":
        return hub_file(rest, source)
    if scheme not in ("http", "https"):
        raise SettingError(f"model.weights={source}: use a file, a run folder, https://... or hf://OWNER/NAME")
    name = Path(urlsplit(source).path).name
    check_suffix(name, source)
    file = Path(torch.hub.get_dir()) / "checkpoints" / f"{hashlib.sha256(source.encode()).hexdigest()[:12]}-{name}"
    try:
        download_once(source, file)
    except (OSError, HTTPException, RuntimeError, ValueError) as error:
        raise SettingError(
            f"model.weights={source} cannot be downloaded ({first_line(error)}): download it yourself and give the file"
        ) from error
    return file


def hub_file(place: str, source: str) -> Path:
    """A file of the Hugging Face hub, from its cache if it is there; HF_HUB_OFFLINE is obeyed by its library."""
    if not find_spec("huggingface_hub"):
        raise SettingError(f"model.weights={source}: {missing_package_message('its library', 'datasets')}")
    owner, _, rest = place.partition("/")
    name, _, file = rest.partition("/")
    if not (owner and name):
        raise SettingError(f"model.weights={source}: use hf://OWNER/NAME, or hf://OWNER/NAME/FILE")
    check_suffix(file or HUB_FILE, source)
    from huggingface_hub import hf_hub_download

    try:
        with reachable_hub():
            return Path(hf_hub_download(f"{owner}/{name}", file or HUB_FILE))
    except Exception as error:  # of its many classes, requests' and the system's
        raise SettingError(f"model.weights={source} cannot be downloaded ({first_line(error)})") from error


# Reading ---------------------------------------------------------------------------------------------------------


def read_tensors(file: Path, source: str) -> dict[str, Tensor]:
    """The tensors of a file, by name. No code in it is executed."""
    load = reader_of(file, source)
    try:
        return tensors_in(load(file))
    except OSError as error:
        raise SettingError(f"model.weights={source} cannot be read ({first_line(error)})") from error
    except Exception as error:  # a hostile or damaged file can raise anything
        raise SettingError(
            f"model.weights={source} is not a file of tensors, or is damaged, so it is not loaded"
        ) from error


def reader_of(file: Path, source: str) -> Callable[[Path], Any]:
    if file.suffix != ".safetensors":
        return partial(torch.load, map_location="cpu", weights_only=True)
    if not find_spec("safetensors"):
        raise SettingError(f"model.weights={source}: {missing_package_message('safetensors', 'export')}")
    from safetensors.torch import load_file

    load: Callable[[Path], Any] = load_file
    return load


def tensors_in(content: Any) -> dict[str, Tensor]:
    """The tensors of a state dict, also of one inside a checkpoint."""
    if not isinstance(content, Mapping):
        return {}
    for key in INSIDE:
        if isinstance(content.get(key), Mapping):
            return tensors_in(content[key])
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def data_settings_of_run(run: Path) -> dict[str, Any]:
    """How the network of a run sees its images."""
    from labbook.runs.resume import read_run_config

    data = read_run_config(run).data
    names = ("image_size", "channels", "normalize", "resize", "decode_size")
    return {name: data[name] for name in names if data.get(name) is not None}
