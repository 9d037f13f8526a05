"""Two views of each photograph, for contrastive learning."""

from collections.abc import Callable
from typing import Any

from mylab.data.photographs import Photographs


class TwoViews(Photographs):
    """Each photo twice, with random crop and flip."""

    def transform(self, training: bool) -> Callable[[Any], Any]:
        return Twice(super().transform(training=True))


class Twice:
    def __init__(self, transform: Callable[[Any], Any]) -> None:
        self.transform = transform

    def __call__(self, image: Any) -> tuple[Any, Any]:
        return self.transform(image), self.transform(image)
