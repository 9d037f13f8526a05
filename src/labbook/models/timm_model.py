"""The classification networks of timm, by name, for the channels and classes of the data (the extra `timm`)."""

import difflib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg, group_parameters, list_models
from torch import nn

from labbook.data.image_spec import IMAGENET_MEAN, IMAGENET_STD, ImageSpec
from labbook.errors import SettingError, first_line, list_first
from labbook.models.library_network import LibraryNetwork, unexpected_argument
from labbook.models.pretrained import reachable_hub
from labbook.training.classifier import Task
from labbook.training.freezing import check_layer_order

NORMALIZATIONS = {
    (IMAGENET_MEAN, IMAGENET_STD): "imagenet",
    ((0.5,) * 3, (0.5,) * 3): "half",
    ((0.0,) * 3, (1.0,) * 3): "unit",
}
RESIZES = {"center": "crop", "border": "pad", "squash": "squash"}  # timm's crop_mode, and data.resize
FIXED_OPTIONS = {
    **dict.fromkeys(("num_classes", "in_chans"), "it is that of the data"),
    "img_size": "use data.image_size",
    **dict.fromkeys(("pretrained", "pretrained_cfg", "pretrained_cfg_overlay"), "use model.pretrained and model.name"),
    **dict.fromkeys(("checkpoint_path", "cache_dir", "pretrained_model_args"), "use model.weights=FILE"),
    **dict.fromkeys(("features_only", "scriptable", "exportable", "no_jit", "device", "dtype"), "leave it out"),
}


class TimmModel(LibraryNetwork):
    """The network of timm called `name`, or `name.tag` for certain pretrained weights.

    `options` go to timm's function, such as {patch_size: 4}.

    Raises:
        SettingError: an unknown name, tag or option, or no pretrained weights.
    """

    fixed_options = FIXED_OPTIONS

    def __init__(
        self,
        spec: ImageSpec,
        task: Task | None = None,
        *,
        name: str | None = None,
        pretrained: bool | str = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        known = known_name(name)
        super().__init__(spec, task, known, check_pretrained(known, pretrained), options)
        self.network = self.create()
        if not self.head_modules():
            raise self.no_classes()

    @property
    def title(self) -> str:
        return f"{self.name} (pretrained weights)" if self.pretrained else self.name

    @classmethod
    def pretrained_data_settings(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Size, channels, normalisation and crop that pretrained weights were trained with, also those of a file."""
        pretrained = check_pretrained(known_name(settings.get("name")), settings.get("pretrained", False))
        if not (pretrained or settings.get("weights")):
            return {}
        found = get_pretrained_cfg(settings["name"])
        channels, *size = found.input_size
        normalize = NORMALIZATIONS.get((found.mean, found.std), {"mean": list(found.mean), "std": list(found.std)})
        images = {"image_size": min(size), "channels": channels, "normalize": normalize}
        # As timm's transforms for evaluation: images are resized to this size, and the center is used.
        return images | {"resize": RESIZES.get(found.crop_mode), "decode_size": int(min(size) / found.crop_pct)}

    # The network ---------------------------------------------------------------------------------------------------

    def create(self, pretrained: bool = False) -> nn.Module:
        sizes = {"img_size": self.spec.size} if get_pretrained_cfg(self.name).fixed_input_size else {}
        shape: dict[str, Any] = {"num_classes": self.spec.num_classes, "in_chans": self.spec.channels, **sizes}
        try:
            network: nn.Module = timm.create_model(self.name, pretrained, **shape, **self.options)
        except RuntimeError:
            raise
        except Exception as error:  # timm checks few arguments
            unknown = unexpected_argument(error)
            if unknown in self.options:
                raise SettingError(f"model.options.{unknown} is not an option of {self.name}") from error
            if unknown == "num_classes":
                raise self.no_classes() from error
            if self.options:
                raise SettingError(f"model.options={self.options}: {first_line(error)}") from error
            raise RuntimeError(first_line(error)) from error  # the size of the images may be the cause
        embedding = getattr(network, "patch_embed", None)
        patch = getattr(embedding, "patch_size", 1)
        patch = max(patch) if isinstance(patch, Sequence) else patch
        if self.spec.size % patch and not getattr(embedding, "dynamic_img_pad", False):
            raise RuntimeError(f"its patches of {patch} pixels would leave out pixels at the border")
        return network

    def no_classes(self) -> SettingError:
        return SettingError(f"model.name={self.name} has no classification layer: use another network of timm")

    def load_pretrained(self) -> None:
        """Load the pretrained weights, which timm adapts to the channels and the size of the images."""
        try:
            with reachable_hub(), torch.random.fork_rng(devices=[]):
                found = self.create(pretrained=True).state_dict()
        except (OSError, RuntimeError, ValueError) as error:
            raise SettingError(
                f"model.pretrained=true: the weights of {self.name} cannot be loaded ({first_line(error)}): download"
                " them on a machine with internet into the cache of the Hugging Face hub, or use model.weights=FILE"
            ) from error
        head = {id(item) for module in self.head_modules() for item in module.state_dict(keep_vars=True).values()}
        own = self.network.state_dict(keep_vars=True)
        self.network.load_state_dict({name: found[name] for name, item in own.items() if id(item) not in head}, False)

    def head_modules(self) -> list[nn.Module]:
        """The modules of the classification layer; several for networks with two classifiers."""
        found = self.network.get_classifier() if hasattr(self.network, "get_classifier") else nn.Identity()
        modules = found if isinstance(found, (tuple, list)) else [found]
        return [module for module in modules if next(module.parameters(), None) is not None]

    def ordered_layers(self) -> list[list[nn.Module]]:
        """Timm's groups of layers, in order of registration if it has none; the classification layer is the last."""
        if hasattr(self.network, "group_matcher"):
            groups = group_parameters(self.network, self.network.group_matcher(coarse=False), reverse=True)
            numbers = {id(item): groups[name] for name, item in self.network.named_parameters()}
        else:
            registered = [[*module.parameters()] for layer in super().ordered_layers() for module in layer]
            numbers = {id(item): index for index, items in enumerate(registered) for item in items}
        for module in self.head_modules():
            numbers |= {id(item): len(numbers) for item in module.parameters()}
        layers: dict[int, list[nn.Module]] = {}
        collect_layers(self.network, numbers, layers)
        ordered: list[list[nn.Module]] = []
        for _, layer in sorted(layers.items()):
            if ordered and all(item.ndim <= 1 for module in layer for item in module.parameters()):
                ordered[-1] += layer  # normalisation after the last block
            else:
                ordered.append(layer)
        return ordered

    def layers_to_freeze(self) -> list[list[nn.Module]]:
        layers = self.ordered_layers()
        if not hasattr(self.network, "group_matcher"):
            images = torch.empty(2, self.spec.channels, self.spec.size, self.spec.size, device="meta")
            check_layer_order(self, layers, images)
        return layers


def collect_layers(module: nn.Module, numbers: Mapping[int, int], layers: dict[int, list[nn.Module]]) -> None:
    """Add the largest modules whose parameters all have the same number of a layer."""
    for child in module.children():
        found = {numbers.get(id(item), 0) for item in child.parameters()}
        if len(found) == 1:
            layers.setdefault(found.pop(), []).append(child)
        elif found:
            collect_layers(child, numbers, layers)


@cache
def timm_networks() -> tuple[str, ...]:
    return tuple(list_models())


def known_name(name: Any) -> str:
    """The name of a network, with the tag of its weights if there is one.

    Raises:
        SettingError: an unknown name or tag, with at most five similar ones.
    """
    if name is None:
        raise SettingError("model.name is missing: use a name of timm, such as model.name=resnet18")
    architecture, _, tag = str(name).partition(".")
    if architecture not in timm_networks():
        near = difflib.get_close_matches(architecture.lower(), timm_networks(), n=5)
        raise SettingError(f"model.name={name} is no network of timm; {did_you_mean(near)}")
    tags = timm.list_pretrained(f"{architecture}.*")
    if tag and name not in tags:
        raise SettingError(f"model.name={name}: timm has no such weights of {architecture}; {did_you_mean(tags)}")
    return str(name)


def did_you_mean(names: list[str]) -> str:
    return f"did you mean {list_first(names)}?" if names else "https://huggingface.co/timm lists them"


def check_pretrained(name: str, pretrained: bool | str) -> bool:
    """Whether to load pretrained weights.

    Raises:
        SettingError: a file, or a network without weights.
    """
    if not isinstance(pretrained, bool):
        raise SettingError(f"model.pretrained={pretrained} must be true or false: use model.weights for a file")
    if pretrained and not timm.is_model_pretrained(name):
        raise SettingError(f"model.pretrained=true: timm has no weights of {name}: use model.pretrained=false")
    return pretrained
