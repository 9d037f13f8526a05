"""The part of the configuration that an error came from. Does not import torch."""

import inspect
import traceback
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from labbook.config.schema import NODES
from labbook.errors import RunError, SettingError, StoppedBySignal, first_line, is_unwritable

# For objects of these packages a setting is the cause of an error; own code has bugs, whose traceback is useful.
LIBRARIES = ("kornia.", "pytorch_lightning.", "timm.", "torch.", "torchmetrics.", "torchvision.")
NOTED = "error: "  # starts the line below a traceback that says where an error came from


def is_sentence(error: Exception) -> bool:
    """Whether an error is a sentence for the user, without a traceback."""
    if isinstance(error, OSError):
        return is_unwritable(error)
    return isinstance(error, (SettingError, RunError, StoppedBySignal))


def failure_reason(error: BaseException) -> str:
    """Why a run failed, in one line; other errors with their class and origin."""
    text = " ".join(str(error).split())
    if isinstance(error, (SettingError, RunError)):
        return text
    noted = (note.removeprefix(NOTED) for note in getattr(error, "__notes__", []) if note.startswith(NOTED))
    return next(noted, f"{type(error).__name__}: {text}")


class ConfigPart(NamedTuple):
    """A node of the configuration, for errors of the object built from it."""

    name: str  # such as callbacks.early_stopping
    target: str
    made: Any  # a class or a function

    def runs(self, frame: Any) -> bool:
        """Whether a frame of a traceback belongs to this part's object, or to the function that creates it."""
        owner = frame.f_locals.get("self")
        return type(owner) is self.made or frame.f_code is getattr(inspect.unwrap(self.made), "__code__", None)

    def says(self, error: BaseException) -> str:
        return f"{self.name} ({self.target}) failed: {type(error).__name__}: {first_line(error)}"

    def note(self, error: BaseException) -> None:
        error.add_note(f"{NOTED}{self.says(error)}")


def config_parts(config: DictConfig) -> Iterator[ConfigPart]:
    """All parts but the trainer, inside which everything else fails."""
    from labbook.config import instantiate  # imports torch

    def nodes(node: Any, name: str) -> Iterator[ConfigPart]:
        if isinstance(node, dict):
            if "_target_" in node and name != "trainer":
                target = str(node["_target_"])
                with suppress(SettingError):
                    yield ConfigPart(name, target, instantiate.resolve_target(target, name))
            for key, value in node.items():
                yield from nodes(value, f"{name}.{key}")

    for group in (group for group in NODES if config.get(group)):
        yield from nodes(OmegaConf.to_container(config[group], resolve=True), group)


def explain_failure(error: Exception, config: DictConfig, trained: bool, hint: str) -> Exception | None:
    """The error to raise instead, if a library raised it for the settings of a part; else the hint is added to it.

    Before anything was `trained`, it is a wrong setting. `hint` says how to resume.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][::-1]
    parts = list(config_parts(config))
    part = next((part for frame in frames for part in parts if part.runs(frame)), None)
    if part is None and type(error).__name__ == "MisconfigurationException":  # Lightning's error for wrong settings
        part = ConfigPart("trainer", config.trainer._target_, None)
    if part is not None and part.target.startswith(LIBRARIES):
        explained = RunError(f"{part.says(error)}{hint}") if trained else SettingError(part.says(error))
        explained.__cause__ = error
        return explained
    if part is not None:
        part.note(error)
    if hint:
        error.add_note(hint.removeprefix("; "))
    return None
