"""What the networks of torchvision and timm share."""

import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.training.classifier import Classifier, Task


class LibraryNetwork(Classifier):
    """A network of another library, created by its name; a subclass creates `network`.

    `pretrained`: training starts with the library's weights, except for the classification layer. `options` go to the
    library's function.
    """

    network: Any  # with the methods of its library
    fixed_options: ClassVar[Mapping[str, str]] = {}  # options that are not the user's, and what sets them

    def __init__(
        self, spec: ImageSpec, task: Task | None, name: str, pretrained: bool, options: dict[str, Any] | None
    ) -> None:
        super().__init__(spec, task)
        self.name, self.pretrained, self.options = name, pretrained, options or {}
        for option in self.fixed_options.keys() & self.options.keys():
            raise SettingError(f"model.options.{option} is set by the program: {self.fixed_options[option]}")

    @abstractmethod
    def load_pretrained(self) -> None:
        """Load the pretrained weights into `network`."""

    def on_fit_start(self) -> None:
        """Load the pretrained weights, unless a checkpoint restores others."""
        if self.pretrained and not self.trainer.ckpt_path:
            self.load_pretrained()

    def compile(self, *args: Any, **kwargs: Any) -> None:
        self.network.compile(*args, **kwargs)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits


def unexpected_argument(error: Exception) -> str:
    """The option that a library's function does not have, by its error; "" for another error."""
    unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    return unknown[1] if unknown else ""
