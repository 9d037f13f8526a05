"""What the page computes: pixels of files and drawings, probabilities, and the pixels that were important."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from torch import Tensor

from labbook.data.decoding import decode
from labbook.data.image_spec import ImageSpec, join_class_names, label_combinations
from labbook.data.resize import resize_and_convert, resize_images
from labbook.errors import SettingError, abbreviate, printable
from labbook.inference.grad_cam import find_layer, grad_cam
from labbook.inference.trained_model import TrainedModel, data_type, decoding_of_run
from labbook.plots.heat_maps import enlarge, overlay_heat
from labbook.runs.run_folder import read_metrics

TOP = 5  # classes in an answer
SAMPLES = 20  # test images
DARK = 0.4  # mean of pixels: below for data sets that are light on dark (0.13 to 0.31), above for photographs (0.47)
FAINT = 32  # of 255: ink at the edge of a stroke

STEPS = 50  # from the blank image to the image
AT_ONCE = 64  # changed copies of the image in one batch
WINDOWS = 8  # windows of the occlusion along a side
METHODS = {
    "Integrated gradients": "how much each pixel adds to the score of the class while the image is changed from one"
    " colour (of the border) to the real image; their sum is the total change",
    "Occlusion": "how much the score of the class decreases if a small window at this position is covered (in the"
    " colour of the border)",
    "Saliency": "how much the score of the class changes if this pixel becomes a little lighter or darker",
}
GRAD_CAM = "Grad-CAM"
OF_REGIONS = "which regions increase the score of the class, as seen by the layer {0} with {1} x {1} positions"


class DrawingStyle(NamedTuple):
    """How the images of a data set were drawn."""

    dark: bool  # grey, and light on dark
    box: float  # longer side of the centered shape, as a fraction of the image's; 0: not centered
    size: int  # pixels of a side before resizing

    @classmethod
    def of(cls, config: DictConfig, spec: ImageSpec) -> "DrawingStyle":
        data, grey = data_type(config), spec.channels == 1
        dark = grey and bool(data.mean) and sum(data.mean) / len(data.mean) < DARK
        return cls(dark, data.box if grey else 0, data.native_size or spec.size)


class Explainer:
    """A network that explains its predictions. Pixels are uint8 [1, C, size, size], None if there is no image."""

    def __init__(self, network: TrainedModel) -> None:
        self.network, self.spec = network, network.spec
        self.style = DrawingStyle.of(network.config, network.spec)
        self.samples: list[tuple[Tensor, str]] = []  # test images with their classes
        self.methods = dict(METHODS)
        with suppress(SettingError):  # a network without positions
            self.layer = find_layer(network.model)
            self.methods[GRAD_CAM] = OF_REGIONS.format(self.layer.name, self.layer.side)

    def from_file(
        self, file: dict[str, Any] | None, invert: bool | None = None
    ) -> tuple[Tensor | None, str, bool | None]:
        """Pixels of a file, an error message, and whether they are inverted; None: if the image is dark on light."""
        if not file or not file.get("path"):
            return None, "", False
        decoded = decode(Path(file["path"]), decoding_of_run(self.network.config, self.spec))
        if decoded.image is None:
            return None, f"This file {abbreviate(decoded.problem)}.", invert
        pixels = resize_and_convert(torch.from_numpy(decoded.image.copy())[None], self.spec.size, self.spec.channels)
        if invert is None:
            invert = self.style.dark and bool(border_of(pixels.float().mean(1)).median() > 127)
        return 255 - pixels if invert else pixels, "", invert

    def from_drawing(self, drawing: dict[str, Any] | None, invert: bool, centre: bool) -> Tensor | None:
        """Pixels of a drawing on white; None if nothing is drawn."""
        if drawing is None or drawing["composite"] is None:
            return None
        return pixels_of_drawing(drawing["composite"], self.spec, self.style, invert, centre)

    def test_images(self) -> tuple[list[tuple[np.ndarray, str]], str]:
        """Some test images with their classes, or a message why there are none; nothing is downloaded."""
        try:
            if not self.samples:
                self.samples = sample_images(self.network)
        except SettingError as error:
            return [], f"No test images: {error}."
        return [(enlarge(pixels), name) for pixels, name in self.samples], ""

    def answer(self, pixels: Tensor | None, method: str) -> Sequence[Any]:
        """Probabilities of the top classes, the input image, its important pixels by one of `methods`, a sentence."""
        if pixels is None:
            return None, None, None, ""
        network, names = self.network, [printable(name) for name in self.spec.class_names]
        probabilities = network.probabilities(pixels)
        values, top = (part.tolist() for part in probabilities[0].topk(min(TOP, len(names))))
        normalized = self.spec.normalize(pixels.to(network.device))
        if method == GRAD_CAM:
            attributions = grad_cam(network.model, self.layer, normalized, torch.tensor(top[:1]).to(network.device))[
                None
            ]
        else:
            attributions = attribute(method, network.scores, normalized, top[0])
        signed = bool((attributions < 0).any())
        colours = "increase the score of {0}, blue pixels decrease it" if signed else "are important for {0}"
        meaning = f"Orange pixels {colours.format(names[top[0]])}. Shown: {self.methods[method]}."
        if several := network.several_classes(probabilities):
            classes = printable(join_class_names(several[0]))
            meaning = f"Predicted classes (above their thresholds): {classes}. {meaning}"
        return (
            {names[index]: value for index, value in zip(top, values, strict=True)},
            enlarge(pixels),
            enlarge(overlay_heat(pixels, heat_map_of(attributions))),
            meaning,
        )

    @property
    def title(self) -> str:
        return f"{self.network.model.title} of {printable(self.network.path)}"

    @property
    def about(self) -> str:
        accuracy = read_metrics(self.network.path).get("test/acc")
        scale = self.network.temperature
        tested = f"test accuracy {accuracy:.4f}" if isinstance(accuracy, float) else "not tested yet"
        calibrated = f"; temperature {scale:.2f}" if scale != 1 else ""
        return (
            f"{tested}{calibrated}; {self.spec.num_classes} classes; input {self.spec.channels} x {self.spec.size} x"
            f" {self.spec.size} pixels; weights of epoch {self.network.epoch}; device {self.network.device}"
        )


def sample_images(network: TrainedModel) -> list[tuple[Tensor, str]]:
    """Test images of a run with their classes."""
    data = network.data()
    if not data.at_hand():
        raise SettingError(
            f"the test images are not in {printable(data.root)}: use another folder with data.root=FOLDER"
        )
    test = network.test_images()
    rows = spread_over_classes(label_combinations(test.labels).tolist())
    return [(test.pixels[[row]], printable(network.spec.name_of(test.labels[row]))) for row in rows]


def spread_over_classes(labels: Sequence[int]) -> list[int]:
    """Rows of `SAMPLES` images: the first of each class, then the second of each, in order of class."""
    seen: Counter[int] = Counter()
    turns = []
    for row, label in enumerate(labels):
        seen[label] += 1
        turns.append((seen[label], label, row))
    return [row for _, row in sorted((label, row) for _, label, row in sorted(turns)[:SAMPLES])]


# Drawings -----------------------------------------------------------------------------------------------------------


def pixels_of_drawing(
    paper: np.ndarray, spec: ImageSpec, style: DrawingStyle, invert: bool, centre: bool
) -> Tensor | None:
    """A drawing uint8 [h, w, 3] on white, made as small as the images of the data set; `invert`: white on black."""
    if (paper == 255).all():
        return None
    pixels = torch.from_numpy(paper.copy()).permute(2, 0, 1)[None]
    if spec.channels == 3:
        return resize_and_convert(resize_and_convert(pixels, style.size, 3), spec.size, 3)
    ink = 255 - resize_and_convert(pixels, pixels.shape[-1], 1)
    ink = centre_ink(ink, style.size, style.box or 1) if centre else resize_images(ink, style.size)
    ink = resize_and_convert(ink, spec.size, 1)
    return ink if invert else 255 - ink


def centre_ink(ink: Tensor, size: int, box: float) -> Tensor:
    """Ink uint8 [1, 1, H, W], 0 where there is none, placed as in MNIST: [1, 1, size, size].

    Its longer side is `box` of the image's, and its centre of mass is in the middle, as far as there is room.
    """
    rows, columns = (torch.nonzero((ink[0, 0] > FAINT).any(axis)).flatten() for axis in (1, 0))
    if not len(rows):
        return resize_images(ink, size)
    cut = ink[..., rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].float()
    scale = size * box / max(cut.shape[-2:])
    height, width = (max(1, min(size, round(side * scale))) for side in cut.shape[-2:])
    small = F.interpolate(cut, (height, width), mode="bilinear", antialias=True)[0, 0]
    placed = torch.zeros(size, size)
    top, left = (start_of_strip(small.sum(1 - axis), size) for axis in (0, 1))
    placed[top : top + height, left : left + width] = small
    return placed.round().clamp(0, 255).byte()[None, None]


def start_of_strip(ink: Tensor, size: int) -> int:
    """Where ink [n] starts within `size` if its centre of mass is in the middle."""
    mean = float((ink * (torch.arange(len(ink)) + 0.5)).sum() / ink.sum())
    return min(max(round(size / 2 - mean), 0), size - len(ink))


# Important pixels ---------------------------------------------------------------------------------------------------


def attribute(
    method: str, network: Callable[[Tensor], Tensor], image: Tensor, target: int, window: int | None = None
) -> Tensor:
    """How much each number of `image` [1, C, H, W] changes the score of the class `target`: [1, C, H, W].

    Integrated gradients (arXiv 1703.01365) add up to the score of the image minus that of the blank image. Occlusion
    (arXiv 1311.2901) is the mean over the windows that cover a pixel, of `window` pixels. Saliency (arXiv 1312.6034)
    has no sign.
    """
    from captum.attr import IntegratedGradients, Occlusion, Saliency

    if method == "Saliency":
        found: Tensor = Saliency(network).attribute(image.clone().requires_grad_(), target=target)
    elif method == "Occlusion":
        side = window or max(1, image.shape[-1] // WINDOWS)
        stride = max(1, side // 2)
        found = Occlusion(network).attribute(
            image,
            sliding_window_shapes=(image.shape[1], side, side),
            strides=(image.shape[1], stride, stride),
            baselines=blank_images(image),
            target=target,
            perturbations_per_eval=AT_ONCE,
        )
    else:
        found = IntegratedGradients(network).attribute(
            image, blank_images(image), target=target, n_steps=STEPS, internal_batch_size=AT_ONCE
        )
    return found.detach()


def border_of(images: Tensor) -> Tensor:
    """The pixels at the border of images [..., H, W]: [..., 2 * (H + W)]."""
    return torch.cat([images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]], dim=-1)


def blank_images(images: Tensor) -> Tensor:
    """Images of one colour, the median of the border of each image [n, C, H, W]."""
    return border_of(images).median(-1).values[..., None, None].expand_as(images).contiguous()


def heat_map_of(attributions: Tensor) -> Tensor:
    """The sum over the channels of one image [1, C, H, W], scaled to -1..1: [H, W].

    The largest 1% is cut off, so that single pixels do not hide the others.
    """
    summed = attributions.sum(1)[0].float()
    strength = summed.abs()
    largest = strength.flatten().quantile(0.99) or strength.max()
    return (summed / largest).clamp(-1, 1) if largest > 0 else torch.zeros_like(summed)
