"""Every network there is, measured on images of one kind."""

import gc
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

import torch
from omegaconf import DictConfig

from labbook import experiment as training
from labbook.config.arguments import choice_files, normalize_overrides
from labbook.config.compose import compose_config
from labbook.data.datamodule import ImageDataModule
from labbook.errors import SettingError, list_choices
from labbook.experiment import on_meta_device
from labbook.fit import apply_channels_last
from labbook.trainer import configure_backends
from labbook.training import hardware
from labbook.training.capabilities import is_classifier, require_image_data, trainable_parameters
from labbook.training.probe import multiply_adds
from tools.benchmark.bare_loop import Bare, Forward
from tools.benchmark.sections import say
from tools.model_table.costs import pace, peak_memory

IMAGES = "data=synthetic"  # 3 x 32 x 32 pixels and 10 classes
OF_TIMM = "timm/"  # before the names of timm's networks, of which the table has some well-known small ones
SOME_OF_TIMM = (
    "convnext_atto",
    "deit_tiny_patch16_224",
    "edgenext_xx_small",
    "efficientnet_lite0",
    "ghostnet_100",
    "mobilenetv4_conv_small",
    "regnetx_002",
    "resnet10t",
)


@dataclass(frozen=True)
class Entry:
    """One network: what it costs, or why it does not take the images."""

    name: str
    paper: str
    size: int | None = None  # pixels of a side of its images
    parameters: int | None = None  # numbers that training changes
    macs: int | None = None  # of one image
    precision: str = ""  # in which the rest was measured
    memory: int | None = None  # bytes, at most at once in a step of training
    forward: float | None = None  # images/s
    training: float | None = None  # images/s
    refused: str = ""


@dataclass(frozen=True)
class Survey:
    """What is measured, where, and on what."""

    configs: dict[str, DictConfig]  # by the network's name
    data: dict[str, ImageDataModule]  # by the network's name, as a file in configs/model_data may say otherwise of one
    choice: hardware.DeviceChoice

    def entries(self, timed: bool) -> Iterator[Entry]:
        """Each network in turn; what needs steps of training only if `timed`."""
        for name, config in self.configs.items():
            yield self._entry(name, config, timed)
            if timed:
                gc.collect()  # the memory of a network, whose parts refer to each other, is the next one's

    def _entry(self, name: str, config: DictConfig, timed: bool) -> Entry:
        data = self.data[name]
        entry = Entry(name, paper_of(name), data.spec.size)
        try:
            counted = on_meta_device(
                config,
                data,
                lambda model: replace(entry, parameters=trainable_parameters(model), macs=multiply_adds(model)),
            )
        except SettingError as error:
            return replace(entry, refused=str(error))
        try:
            return self._timed(counted, config) if timed else counted
        except torch.OutOfMemoryError:  # of a GPU
            room = f"a batch of {data.batch_size} is more than its memory holds: give fewer with --batch-size"
            return replace(entry, refused=f"{self.choice.accelerator.upper()}: {room}")

    def _timed(self, entry: Entry, config: DictConfig) -> Entry:
        say(entry.name)
        data = self.data[entry.name]
        spec, count = data.spec, data.batch_size
        model = training.build_model(config, spec)
        choice = hardware.choose_for_run(config, model)
        configure_backends(config, choice)
        apply_channels_last(model, data, choice.channels_last)
        device = Forward(model, choice).device
        images = torch.randn(count, spec.channels, spec.size, spec.size, device=device)
        images = images.contiguous(memory_format=data.memory_format)
        entry = replace(entry, precision=choice.precision)
        if is_classifier(model):
            bare = Bare(model, choice)
            labels = torch.arange(count, device=device) % spec.num_classes
            memory = peak_memory(bare, images, labels)
            trained = pace(lambda: bare.step(images, labels), device, count)
            entry = replace(entry, memory=memory, training=trained)
        model.eval()
        forward = Forward(model, choice)
        return replace(entry, forward=pace(lambda: forward.forward(images), device, count))


def networks() -> list[str]:
    """All networks but those that `model=timm` takes by name."""
    return [path.stem for path in choice_files("model") if path.stem != "timm"]


def paper_of(name: str) -> str:
    """The text of a comment `# paper: ...` in the file of a network; empty if there is none."""
    text = "".join(path.read_text(encoding="utf-8") for path in choice_files("model") if path.stem == name)
    found = re.search(r"^# paper: (.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of networks on a command line, all if there is none, and the settings.

    Raises:
        SettingError: a network that is none.
    """
    names = [word for word in words if "=" not in word]
    names += [name for word in words if word.startswith("model=") for name in word.partition("=")[2].split(",")]
    settings = [word for word in words if "=" in word and not word.startswith("model=")]
    names = [name if name.startswith(OF_TIMM) else normalize_choice(name) for name in names]
    known = networks()
    for name in names:
        if name not in known and not name.startswith(OF_TIMM):
            raise SettingError(f"model={name} is unknown; {list_choices(name, known)}, or {OF_TIMM}NAME")
    some_of_timm = [OF_TIMM + name for name in SOME_OF_TIMM] if find_spec("timm") else []
    return names or known + some_of_timm, settings


def normalize_choice(name: str) -> str:
    (word,) = normalize_overrides([f"model={name}"])
    return word.removeprefix("model=")


def checked(name: str, settings: Sequence[str]) -> DictConfig:
    """The configuration of one network.

    Raises:
        SettingError: settings that do not go together, and whose they are.
    """
    try:
        own, _, of_timm = name.partition("/")
        config = compose_config(*settings, f"model={own}", *([f"model.name={of_timm}"] if of_timm else []))
        training.check_experiment(config)
    except SettingError as error:
        if not str(error).startswith("model."):
            raise
        raise SettingError(f"model={name}: {error}") from error
    return config


def prepared(words: Sequence[str]) -> Survey:
    """What a command line asks for, with settings as train.py takes them.

    Raises:
        SettingError: a network that is none, or settings that do not go together.
    """
    names, settings = parted(words)
    if not any(setting.startswith(("data=", "experiment=")) for setting in settings):
        settings.insert(0, IMAGES)
    configs = {name: checked(name, settings) for name in names}
    first = next(iter(configs.values()))
    data = {
        name: require_image_data(training.build_new_data(config), "the table of networks")
        for name, config in configs.items()
    }
    choice = hardware.choose_device(first.trainer, hardware.describe_machine(), first.channels_last)
    return Survey(configs, data, choice)
