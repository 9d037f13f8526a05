"""Save and load checkpoints: complete files only, with tensors and plain data only."""

import logging
import warnings
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning import LightningModule

from labbook.data.data_record import changed_classes
from labbook.errors import SettingError
from labbook.files import add_checksum, atomic_replace, find_corruption
from labbook.runs.run_folder import LAST, PREVIOUS
from labbook.training.capabilities import image_spec

log = logging.getLogger("labbook")

RECORDER, CHECKPOINTS = "Recorder", "Checkpoints"  # their states are in a checkpoint beside those of callbacks
HYPER_PARAMETERS = ("hyper_parameters.", "datamodule_hyper_parameters.")  # entries that Lightning makes from arguments


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint atomically: write beside the target, flush, check, rename.

    The last.ckpt before it is kept as previous.ckpt if it is known to be complete.
    """

    def __init__(self) -> None:
        self.whole: set[Path] = set()  # files that this process has read or written
        self.loadable = False  # a run saves only tensors and plain data

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: it cannot be written; the file that was there before is unchanged.
        """
        path = Path(path)
        keep = path.with_name(PREVIOUS) if path.name == LAST and path in self.whole and path.is_file() else None
        try:
            with atomic_replace(path, keep, durable=True) as partial:
                with partial.open("wb") as file:
                    torch.save(checkpoint, file)
                if not self.loadable:
                    check_loadable(checkpoint, partial)
                    self.loadable = True
                add_checksum(partial)
        except RuntimeError as error:
            reason = error.__context__  # torch hides why a write failed: usually the disk is full
            if not isinstance(reason, OSError):
                raise
            raise OSError(reason.errno, reason.strerror, str(path)) from error
        self.whole.add(path)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None) -> dict[str, Any]:
        content = load_checkpoint_file(Path(path), map_location)
        self.whole.add(Path(path))
        return content


def check_loadable(checkpoint: Mapping[str, Any], file: Path) -> None:
    if unsafe := set(torch.serialization.get_unsafe_globals_in_checkpoint(file)):
        key, name = next(objects_in(checkpoint, unsafe), ("", min(unsafe)))
        advice = "use tensors, numbers, texts, lists and dictionaries"
        if key.startswith(HYPER_PARAMETERS):
            advice = f"write self.save_hyperparameters(ignore=[{key.partition('.')[2].partition('.')[0]!r}])"
        raise SettingError(f"the checkpoint's entry {key} is a {name}, which cannot be loaded for safety: {advice}")


def objects_in(value: Any, unsafe: Container[str], key: str = "") -> Iterator[tuple[str, str]]:
    """The entries of a checkpoint that have an unsafe type: dotted key -> type."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in unsafe or f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}" in unsafe:
        yield key, name
    elif isinstance(value, Mapping):
        for inner, item in value.items():
            yield from objects_in(item, unsafe, f"{key}.{inner}" if key else str(inner))
    elif isinstance(value, (list, tuple, set)):
        for index, item in enumerate(value):
            yield from objects_in(item, unsafe, f"{key}.{index}")


def load_checkpoint_file(path: Path, map_location: Any = "cpu", **options: Any) -> dict[str, Any]:
    """The content of a checkpoint; no code in it is executed."""
    if not path.exists() or path.is_dir():
        raise SettingError(f"{path} does not exist")
    reason = find_corruption(path)
    if reason is not None:
        raise SettingError(f"{path} is damaged ({reason}), so it is not loaded")
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # formats that are refused anyway
            content = torch.load(path, map_location=map_location, weights_only=True, **options)
    except OSError:
        raise
    except Exception as error:  # a hostile pickle can raise anything
        raise SettingError(f"{path} is not a checkpoint of tensors and plain data, so it is not loaded") from error
    weights = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(weight, torch.Tensor) for weight in weights.values()):
        raise SettingError(f"{path} is not a checkpoint of a run: it has no weights")
    whole: dict[str, Any] = content
    if not isinstance(whole.get("epoch"), int):
        raise SettingError(f"{path} is not a checkpoint of a run: it has no epoch")
    return whole


def epochs_done(checkpoint: Mapping[str, Any]) -> int:
    """The number of complete epochs at the time a checkpoint was saved."""
    return len(checkpoint["callbacks"][RECORDER]["rows"])


class Position(NamedTuple):
    """The position in the training at which a checkpoint was saved."""

    epoch: int  # the last epoch that was started, from 1
    step: int
    done: int  # complete epochs


def resume_position(model: LightningModule, path: Path) -> Position:
    content = load_checkpoint_file(path, mmap=True)  # without the tensors: Lightning reads them
    saved_spec, spec = content.get("spec"), image_spec(model)
    names = saved_spec.get("class_names", ()) if isinstance(saved_spec, dict) and spec is not None else ()
    if spec is not None and (changed := changed_classes(names, spec.class_names)):
        raise SettingError(f"{path} was trained on other classes: {changed}; a run resumes only with the same ones")
    check_weights_fit(model, content["state_dict"], path)
    if not {"loops", "optimizer_states", "random"} <= content.keys():
        raise SettingError(f"{path} has only weights, so a run cannot resume from it")
    return Position(content["epoch"] + 1, content["global_step"], epochs_done(content))


def load_weights(model: LightningModule, path: Path) -> int:
    """Load a checkpoint's weights into a network. Returns the number of epochs they were trained."""
    return put_weights(model, load_checkpoint_file(path), path)


def put_weights(model: LightningModule, content: dict[str, Any], path: Path) -> int:
    check_weights_fit(model, content["state_dict"], path)
    for name, weight in content["state_dict"].items():
        if weight.is_floating_point() and not weight.isfinite().all():
            raise SettingError(f"{path} has weights that are not finite ({name}), so it cannot be used")
    model.load_state_dict(content["state_dict"])
    epoch: int = content["epoch"]
    return epoch + 1


def check_weights_fit(model: LightningModule, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Refuse weights whose names or shapes differ from the network's."""
    model.configure_model()  # a user's module may create its layers here, once
    own = model.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        shapes = [tuple(state[name].shape) if name in state else None for state in (own, weights)]
        if shapes[0] != shapes[1]:
            raise SettingError(
                f"{path} has another network than {type(model).__name__} of the configuration: {name} is {shapes[1]}"
                f" there and {shapes[0]} here"
            )
