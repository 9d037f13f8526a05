"""What the controls of the page do: from what they hold to pixels, a complaint, an answer. Imports no Gradio."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labbook.errors import SettingError
from labbook.inference.serve import image_inputs, sample_images
from labbook.inference.serve.explainer import Explainer
from labbook.inference.serve.image_inputs import PictureError
from labbook.inference.trained_model import decoding


class Controls:
    """Functions of what the controls hold; pixels are bytes, which Gradio can compare."""

    def __init__(self, explainer: Explainer) -> None:
        self.explainer = explainer
        self._samples: sample_images.Samples | None = None

    def given(self, file: dict[str, Any] | None) -> tuple[bytes | None, str, bool]:
        """A file was dropped: its pixels, a complaint, and whether its shades were turned, as they look as if."""
        if not file or not file.get("path"):
            return None, "", False
        network = self.explainer.network
        try:
            pixels = image_inputs.of_file(Path(file["path"]), network.spec, decoding(network.config, network.spec))
        except PictureError as error:
            return None, str(error), False
        turned = self.explainer.habits.dark and image_inputs.on_light(pixels)
        return packed(255 - pixels if turned else pixels), "", turned

    def turned(self, file: dict[str, Any] | None, turn: bool) -> tuple[bytes | None, str]:
        """The box for turned shades was ticked or cleared."""
        pixels, complaint, already = self.given(file)
        return (pixels if pixels is None or already is bool(turn) else packed(255 - self.unpacked(pixels))), complaint

    def drawn(self, drawing: bytes | None, turn: bool, centre: bool) -> tuple[bytes | None, str]:
        """A stroke was drawn, or a box beside the drawing ticked or cleared: pixels and a complaint."""
        if drawing is None:
            return None, ""
        network, habits = self.explainer.network, self.explainer.habits
        try:
            pixels = image_inputs.of_drawing(drawing, network.spec, habits, bool(turn), bool(centre))
        except PictureError as error:
            return None, str(error)
        return (None if pixels is None else packed(pixels)), ""

    def sampled(self) -> tuple[list[tuple[np.ndarray, str]], str]:
        """The test images for the gallery, or why there are none."""
        try:
            found = self._samples or sample_images.at_hand(self.explainer.network)
        except SettingError as error:
            return [], f"There is nothing to choose from: {error}."
        self._samples = found
        return [(image_inputs.seen(pixels[None]), name) for pixels, name in zip(*found, strict=True)], ""

    def chosen(self, index: int) -> tuple[bytes | None, str]:
        """A test image was clicked."""
        there = self._samples is not None and 0 <= index < len(self._samples.names)
        return (packed(self._samples.pixels[index]) if self._samples and there else None), ""

    def answered(self, pixels: bytes | None, method: str) -> Sequence[Any]:
        """What is shown of the image that was given last."""
        return (None, None, None, "") if pixels is None else self.explainer(self.unpacked(pixels), method)

    def unpacked(self, pixels: bytes) -> Tensor:
        """Pixels uint8 [1, C, size, size] again."""
        spec = self.explainer.network.spec
        return torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(1, spec.channels, spec.size, spec.size)


def packed(pixels: Tensor) -> bytes:
    """One image of uint8 as bytes."""
    return pixels.contiguous().numpy().tobytes()
