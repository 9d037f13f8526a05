"""The inputs of a network besides images: the further parameters of its `forward`, by name."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from labbook.errors import SettingError


@dataclass(frozen=True)
class FurtherInputs:
    """Tensors of `Batch.extra` that a `forward` takes: `forward(self, images, age)` takes the tensor `age`."""

    network: str
    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()  # tensors with a default
    takes_all: bool = False  # by **extra

    @classmethod
    def of(cls, network: nn.Module) -> "FurtherInputs":
        """The inputs of a network. A parameter with a default counts if its annotation names Tensor."""
        _, *parameters = inspect.signature(network.forward).parameters.values()
        named = [item for item in parameters if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)]
        return cls(
            type(network).__name__,
            tuple(item.name for item in named if item.default is item.empty),
            tuple(item.name for item in named if item.default is not item.empty and "Tensor" in str(item.annotation)),
            any(item.kind is item.VAR_KEYWORD for item in parameters),
        )

    def among(self, extra: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not extra and not self.needed:
            return {}
        if missing := [name for name in self.needed if name not in extra]:
            has = f"those of the data are {', '.join(extra)}" if extra else "the data has only images"
            raise SettingError(
                f"{self.network} takes {' and '.join(missing)} as additional inputs (Images.extra), and {has}"
            )
        return {name: extra[name] for name in extra if self.takes_all or name in self.needed + self.optional}

    def check_unmixed(self, inputs: Mapping[str, Tensor]) -> None:
        """Refuse to mix images in pairs if the network takes further inputs, which are not mixed."""
        if inputs:
            raise SettingError(
                f"task.mixup and task.cutmix mix only images, and {self.network} takes {' and '.join(inputs)} beside"
                " them: leave them out"
            )

    def check_none(self) -> None:
        """Refuse a network that needs more than images."""
        if names := [*self.needed, *self.optional, *(["further tensors"] if self.takes_all else [])]:
            raise SettingError(
                f"{self.network} takes {' and '.join(names)} beside the images, and image files do not have that, so"
                " predict, serve and export cannot use it; scripts/evaluate.py tests it on its data"
            )
