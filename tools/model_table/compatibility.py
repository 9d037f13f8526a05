"""Which network goes with which images, and of what size."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from omegaconf import DictConfig

from labbook import experiment
from labbook.config import instantiate
from labbook.config.arguments import choice_files
from labbook.config.compose import compose_config
from labbook.config.schema import PAIRS
from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from tools.model_table.survey import networks


class Pair(NamedTuple):
    """A network on a data set, with the settings that they have by themselves."""

    model: str
    data: str
    size: int  # pixels of the images
    least: int  # pixels that the network needs

    @property
    def told(self) -> str:
        """The size of the images, or the setting that makes them large enough."""
        return str(self.size) if self.size >= self.least else f"`data.image_size={self.least}`"


def all_pairs() -> list[Pair]:
    """Every network with every data set; no image is read."""
    datasets = {path.stem: compose_config(f"data={path.stem}") for path in choice_files("data")}
    special = {path.stem for path in choice_files(PAIRS)}
    pairs = []
    for model in networks():
        own = compose_config(f"model={model}")
        needed = least(own)
        for data, usual in datasets.items():
            both = compose_config(f"model={model}", f"data={data}") if f"{model}_{data}" in special else usual
            pairs.append(Pair(model, data, size_of(both), needed))
    return pairs


def size_of(config: DictConfig) -> int:
    """The pixels of the images, as the configuration or the data set itself has them."""
    native: int = instantiate.resolve_target(config.data._target_, "data").native_size
    return int(config.data.image_size or native)


def least(config: DictConfig) -> int:
    """The pixels of the smallest images that a network takes, as its refusals tell.

    Raises:
        SettingError: a refusal that tells of no larger size.
    """
    spec = ImageSpec(3, 1, tuple("0123456789"), (0.5,) * 3, (0.5,) * 3)
    while True:
        try:
            with torch.device("meta"):
                experiment.build_model(config, spec)
            return spec.size
        except SettingError as error:
            told = re.search(r"data\.image_size=(\d+)", str(error))
            if told is None or int(told[1]) <= spec.size:
                raise
            spec = replace(spec, size=int(told[1]))


def as_markdown(pairs: Sequence[Pair]) -> str:
    """A column for the data sets, and a row for the networks, that have the same sizes throughout."""
    told = {(pair.model, pair.data): pair.told for pair in pairs}
    needed = {pair.model: pair.least for pair in pairs}
    columns: dict[tuple[str, ...], list[str]] = {}
    for data in dict.fromkeys(pair.data for pair in sorted(pairs, key=lambda pair: pair.size)):
        columns.setdefault(tuple(told[model, data] for model in needed), []).append(data)
    rows: dict[tuple[str, ...], list[str]] = {}
    for number, model in enumerate(needed):
        rows.setdefault(tuple(column[number] for column in columns), []).append(model)
    heads = [" ".join(f"`{data}`" for data in names) for names in columns.values()]
    lines = [("network, and the pixels that it needs at least", *heads), ("---",) + ("---:",) * len(heads)]
    lines += [(", ".join(f"`{model}` {needed[model]}" for model in names), *cells) for cells, names in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
