"""The networks of torchvision, for images of any size and number of channels."""

import inspect
import math
from bisect import bisect_left
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from labbook.data.image_spec import IMAGENET_MEAN, IMAGENET_STD, ImageSpec
from labbook.errors import SettingError, first_line, list_choices
from labbook.models import pretrained as pretrained_weights
from labbook.models import small_images
from labbook.models.library_network import LibraryNetwork, unexpected_argument
from labbook.training.classifier import Task
from labbook.training.torch_internals import accept_any_state_version

USUAL = 224  # pixels, for which torchvision made its networks; MaxViT takes only multiples of it
SMALL = 64  # pixels: up to this size a stem for small images is better
IMAGENET_CLASSES = 1000
LARGEST = 512  # pixels: end of the search for a size that works
# Loss weights of auxiliary classifiers: Szegedy et al., arXiv 1409.4842, section 5, and TF-Slim's Inception.
AUXILIARY = {"googlenet": 0.3, "inception_v3": 0.4}
HEADS = ("aux1.fc2", "aux2.fc2", "AuxLogits.fc")  # their classification layers
AUXILIARY_SIZE = 299  # pixels that Inception's auxiliary classifier needs; for smaller images there is none
FIXED_OPTIONS = {"weights": "model.pretrained", "num_classes": "the classes of the data", "progress": "no progress bar"}


@cache
def network_names() -> tuple[str, ...]:
    return tuple(name for name in models.list_models(module=models) if name != "alexnet")  # which labbook has itself


class TorchvisionModel(LibraryNetwork):
    """The network of torchvision called `name`, with the channels and classes of the data.

    `small_stem`: see `labbook.models.small_images`; null: for images of up to 64 pixels, except with pretrained
    weights. `options` go to torchvision's function, such as {width_mult: 0.5} for mobilenet_v2. Auxiliary classifiers
    of GoogLeNet and Inception are part of the training loss.

    Raises:
        SettingError: an unknown name or option, images that are too small or no multiple of the patches, or grey images
            with pretrained weights.
    """

    fixed_options = FIXED_OPTIONS

    def __init__(
        self,
        spec: ImageSpec,
        task: Task | None = None,
        *,
        name: str,
        small_stem: bool | None = None,
        pretrained: bool = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        check_network_settings(name, small_stem, pretrained)
        super().__init__(spec, task, name, pretrained, options)
        if pretrained and spec.channels != 3:
            raise SettingError(
                "model.pretrained=true: pretrained weights need three channels: leave out data.channels, or use 3;"
                " grey images then get three equal ones"
            )
        self.small = (spec.size <= SMALL and not pretrained) if small_stem is None else small_stem
        if options:
            self.check_options()
        self.check_size()
        self.network = self.adapted(spec.size)
        layers = self.network.named_modules()
        self.head = [path for path, layer in layers if isinstance(layer, (nn.Linear, nn.Conv2d))][-1]

    @property
    def title(self) -> str:
        remarks = {"stem for small images": self.small, "pretrained weights": self.pretrained}
        made = ", ".join(remark for remark, holds in remarks.items() if holds)
        return f"{self.name} ({made})" if made else self.name

    @classmethod
    def pretrained_data_settings(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Size, channels and normalisation that the pretrained weights were trained with, also those of a file."""
        known, asked = settings.get("name") in network_names(), settings.get("pretrained") or settings.get("weights")
        return pretrained_weights.image_settings(settings["name"]) if known and asked else {}

    # The network ---------------------------------------------------------------------------------------------------

    def made(self, options: Mapping[str, Any]) -> nn.Module:
        own: dict[str, Any] = {}
        if self.name in AUXILIARY:  # pretrained weights expect another normalisation, which the network computes itself
            imagenet = (self.spec.mean, self.spec.std) == (IMAGENET_MEAN, IMAGENET_STD)
            own = {"init_weights": not self.pretrained, "transform_input": self.pretrained and imagenet}
        if self.name == "inception_v3":
            own["aux_logits"] = self.spec.size >= AUXILIARY_SIZE
        if self.name == "maxvit_t":
            own["input_size"] = (self.window_size(), self.window_size())
        network = created(self.name, num_classes=self.spec.num_classes, **own | dict(options))
        if isinstance(network, models.EfficientNet):
            draw_classifying_layer(network)
        if isinstance(network, models.MNASNet):
            accept_any_state_version(network)
        return network

    def window_size(self) -> int:
        """The size of the images for which MaxViT divides its layers into windows."""
        size = self.spec.size * (2 if self.small else 1)
        if size % USUAL:
            below = self.spec.size // USUAL * USUAL
            nearest = f"{below} or {below + USUAL}" if below else USUAL
            raise SettingError(
                f"images of {self.spec.size} pixels do not fit the windows of {self.name}: use"
                f" data.image_size={nearest}, or a maxvit network of timm"
            )
        return size

    def adapted(self, size: int) -> nn.Module:
        network = self.made(self.options)
        if isinstance(network, VisionTransformer):
            small_images.resize_patches(network, size, self.spec.channels, self.small)
        else:
            small_images.change_stem(network, self.spec.channels, self.small)
        return network

    def check_size(self) -> None:
        """Try one image of this size on the meta device."""
        size = self.spec.size
        if not self.passes(size):
            self.require_size(self.spec, bisect_left(range(LARGEST), True, lo=size + 1, key=self.passes))

    def passes(self, size: int) -> bool:
        """Whether every layer leaves at least one pixel of an image of this size."""
        with torch.device("meta"):
            network = self.adapted(size).eval()
            try:
                network(torch.empty(2, self.spec.channels, size, size))
            except RuntimeError:
                return False
        return True

    def check_options(self) -> None:
        """Build the network and run one forward pass on the meta device: torchvision checks few options itself."""
        try:
            size = self.spec.size if self.name == "maxvit_t" else USUAL
            with torch.device("meta"):
                network = self.adapted(size).train()
                network(torch.empty(2, self.spec.channels, size, size))
        except SettingError:
            raise
        except Exception as error:
            if unknown := unexpected_argument(error):
                raise self.no_option(unknown) from error
            raise SettingError(f"model.options={self.options}: {first_line(error)}") from error
        for option in self.options:
            if accepts_any(type(network)) and option not in options_of_network(type(network)):
                raise self.no_option(option)

    def no_option(self, option: str) -> SettingError:
        with torch.device("meta"):
            known = options_of_network(type(self.made({})))
        return SettingError(f"model.options.{option} is none of {self.name}; {list_choices(option, known)}")

    def load_pretrained(self) -> None:
        weights: Mapping[str, Tensor] = pretrained_weights.pretrained_state_dict(self.name)
        if isinstance(self.network, VisionTransformer):
            weights = interpolate_embeddings(self.spec.size, self.network.patch_size, weights)
        pretrained_weights.load_pretrained(self.network, weights, but=(self.head, *HEADS))

    def ordered_layers(self) -> list[list[nn.Module]]:
        """Auxiliary classifiers belong to the last layer."""
        layers = super().ordered_layers()
        auxiliary = self.auxiliary_modules()
        beside = [layer for layer in layers if all(id(module) in auxiliary for module in layer)]
        *others, last = [layer for layer in layers if layer not in beside]
        return [*others, [*last, *(module for layer in beside for module in layer)]]

    def layers_to_freeze(self) -> list[list[nn.Module]]:
        auxiliary = self.auxiliary_modules()
        return [[module for module in layer if id(module) not in auxiliary] for layer in self.ordered_layers()]

    def auxiliary_modules(self) -> set[int]:
        return {id(item) for path, item in self.network.named_modules() if is_auxiliary(path)}

    # Training ------------------------------------------------------------------------------------------------------

    def forward(self, images: Tensor) -> Tensor:
        return self.all_logits(images)[0]

    @property
    def num_auxiliary(self) -> int:
        """Parameters of the auxiliary classifiers, which an exported network does not have."""
        return sum(item.numel() for path, item in self.network.named_parameters() if is_auxiliary(path))

    def training_logits(self, images: Tensor, **inputs: Tensor) -> list[tuple[Tensor, float]]:
        """In training, also the logits of auxiliary classifiers."""
        if not (self.training and getattr(self.network, "aux_logits", False)):
            return super().training_logits(images, **inputs)
        logits, *auxiliary = self.all_logits(images)
        return [(logits, 1.0), *((item, AUXILIARY[self.name]) for item in auxiliary)]

    def all_logits(self, images: Tensor) -> list[Tensor]:
        found = self.network(images)
        return [found] if isinstance(found, Tensor) else [item for item in found if item is not None]


def created(name: str, **options: Any) -> nn.Module:
    """The network of a name. RegNet reads tensors while it is created, so the meta device gets it afterwards."""
    if not (name.startswith("regnet") and torch.get_default_device().type == "meta"):
        network: nn.Module = models.get_model(name, **options)
        return network
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        return created(name, **options).to("meta")


def is_auxiliary(path: str) -> bool:
    return path.startswith(("aux1", "aux2", "AuxLogits"))


def draw_classifying_layer(network: models.EfficientNet) -> None:
    """Initialize EfficientNet's last layer as for 1000 classes.

    Torchvision draws it within 1 / sqrt(classes): with 10 classes, training would start at a loss of 4.1 instead of
    ln(10).
    """
    last = network.classifier[-1]
    assert isinstance(last, nn.Linear)
    nn.init.uniform_(last.weight, -1 / math.sqrt(IMAGENET_CLASSES), 1 / math.sqrt(IMAGENET_CLASSES))


def accepts_any(kind: type[nn.Module]) -> bool:
    """Whether a class ignores unknown options, as MobileNetV3's and ConvNeXt's do."""
    return any(item.kind is item.VAR_KEYWORD for item in inspect.signature(kind).parameters.values())


def options_of_network(kind: type[nn.Module]) -> set[str]:
    """The options of a class: its parameters with a default, or, if it accepts any, those of its functions."""
    own = inspect.signature(kind).parameters.values()
    if not accepts_any(kind):
        return {item.name for item in own if item.default is not item.empty} - FIXED_OPTIONS.keys()
    makers = (item for item in vars(inspect.getmodule(kind)).values() if inspect.isfunction(item))
    beside = [inspect.signature(item).parameters for item in makers if item.__module__ == kind.__module__]
    every = [*own, *(item for parameters in beside for item in parameters.values())]
    return {item.name for item in every if item.default is not item.empty} - FIXED_OPTIONS.keys()


def check_network_settings(name: str, small_stem: bool | None, pretrained: bool) -> None:
    """Refuse settings that are unknown or do not work together."""
    if name not in network_names():
        raise SettingError(f"model.name={name} is unknown; {list_choices(name, network_names())}")
    if small_stem and pretrained:
        raise SettingError(
            "model.small_stem=true has no pretrained weights: leave it out, or use model.pretrained=false"
        )
