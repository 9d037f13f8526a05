"""The settings of a test on another data set than the run's. Imports no torch."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from labbook.config.compose import compose_config
from labbook.config.path_rules import short_file_name
from labbook.errors import SettingError
from labbook.runs.resume import with_settings
from labbook.runs.run_id import is_published

if TYPE_CHECKING:  # it would import torch
    from labbook.data.image_spec import ImageSpec

# How the network sees images: these settings of another data set are those of the network, unless they are given.
SEEN = ("image_size", "channels", "normalize")
# How image files are decoded to squares: these settings of another data set are those of the run; with what null means.
DECODED = {"resize": "squash", "decode_size": None}
# The only values that a test accepts.
ONE_PROCESS = {"trainer.devices": r"1|\[\d+\]", "trainer.num_nodes": "1", "trainer.strategy": "auto"}


@dataclass(frozen=True)
class EvaluationRequest:
    """The configuration of a test."""

    config: DictConfig  # the run's, with the settings of the command line
    data: DictConfig | None = None  # of another data set, where SEEN is null unless given
    name: str = ""  # of other images, for file names


def evaluation_request(config: DictConfig, settings: list[str]) -> EvaluationRequest:
    """The configuration of a test by the settings of a command line; `data=NAME` is another data set."""
    check_one_process(settings)
    if not any(setting.startswith("data=") for setting in settings):
        replaced = with_settings(config, settings)
        check_same_decoding(config.data, replaced.data)
        name = other_root_name(config.data, replaced.data)
        if name and not any(setting.startswith("data.test_fraction=") for setting in settings):
            replaced.data.pop("test_fraction", None)  # test all images of a folder of classes
        return EvaluationRequest(replaced, name=name)
    of_data = [setting for setting in settings if setting.startswith(("data=", "data."))]
    rest = [setting for setting in settings if setting not in of_data]
    chosen = compose_config(*of_data)
    given = {setting.partition("=")[0] for setting in of_data}
    for name in SEEN:
        if not any(key == f"data.{name}" or key.startswith(f"data.{name}.") for key in given):
            chosen.data[name] = None
    for name in DECODED:
        if name in chosen.data and f"data.{name}" not in given:
            chosen.data[name] = config.data.get(name)
    check_same_decoding(config.data, chosen.data)
    if "data.batch_size" not in given:
        chosen.data.batch_size = config.data.batch_size  # fits into memory
    own = config.get("config_groups", {}).get("data")
    name = str(chosen.config_groups.data)
    name = other_root_name(config.data, chosen.data) if name == own else name
    return EvaluationRequest(with_settings(config, rest), chosen.data, name)


def check_same_decoding(trained: DictConfig, other: DictConfig) -> None:
    """Refuse settings by which the images of folders would be made square otherwise than in the training."""
    for name, default in DECODED.items():
        was, asked = (node.get(name) or default for node in (trained, other))
        if name in trained and asked != was:
            raise SettingError(trained_otherwise(name, asked, was))


def trained_otherwise(name: str, asked: object, known: object) -> str:
    """What to say of a setting by which the network would see images of another form."""
    told = "null" if known is None else known
    return f"data.{name}={asked}: the network was trained with {told}, and sees all images so: leave it out"


def check_one_process(settings: list[str]) -> None:
    for setting in settings:
        name, _, value = setting.partition("=")
        if name in ONE_PROCESS and not re.fullmatch(ONE_PROCESS[name], value):
            raise SettingError(f"{setting}: a trained network is tested by one process on one device: leave it out")


def other_root_name(own: DictConfig, other: DictConfig) -> str:
    """A name for images of the same kind in another folder; empty for the run's own."""
    moved = str(own.get("root")) != str(other.get("root"))
    return short_file_name(Path(str(other.root)).name) if moved and not is_published(resolved_dict(other)) else ""


def with_network_spec(data: DictConfig, spec: "ImageSpec") -> DictConfig:
    """The configuration of another data set, with the network's values for SEEN where they are null."""
    normalize = {"mean": list(spec.mean), "std": list(spec.std)}
    known = {"image_size": spec.size, "channels": spec.channels, "normalize": normalize}
    shown = OmegaConf.create(resolved_dict(data))
    for name in SEEN:
        if shown[name] is None:
            shown[name] = known[name]
    return shown


def resolved_dict(node: DictConfig) -> dict[str, Any]:
    found = OmegaConf.to_container(node, resolve=True)
    assert isinstance(found, dict)
    return {str(name): value for name, value in found.items()}
