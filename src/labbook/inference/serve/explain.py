"""What the page computes: pixels of files and drawings, probabilities, and the pixels that were important."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
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
    "Integrated gradients": "how much each pixel adds to the score of the class, compared with an image in the colour"
    " of the border; the sum is the whole difference",
    "Occlusion": "how much the score of the class decreases if a small window at this position is covered (in the"
    " colour of the border)",
    "Saliency": "how much the score of the class changes if this pixel becomes a little lighter or darker",
}
GRAD_CAM = "Grad-CAM"
OF_REGIONS = "which regions increase the score of the class, as seen by the layer {0} with {1} x {1} positions"


class Explainer:
    """A network that explains its predictions. Pixels are uint8 [1, C, size, size], None if there is no image."""

    def __init__(self, network: TrainedModel) -> None:
        self.network, self.spec = network, network.spec
        self.style = DrawingStyle.of(network.config, network.spec)
        self.methods = dict(METHODS)
        with suppress(SettingError):  # a network without positions
            self.layer = find_layer(network.model)
            self.methods[GRAD_CAM] = OF_REGIONS.format(self.layer.name, self.layer.side)

    def from_file(self, file: Path, invert: bool | None = None) -> tuple[Tensor, bool]:
        """Pixels of a file, and whether they are inverted; None: if the images of the run are dark and this is not."""
        decoded = decode(file, decoding_of_run(self.network.config, self.spec))
        if decoded.image is None:
            raise SettingError(f"this file {abbreviate(decoded.problem)}")
        pixels = resize_and_convert(torch.from_numpy(decoded.image.copy())[None], self.spec.size, self.spec.channels)
        if invert is None:
            invert = self.style.dark and bool(border_of(pixels.float().mean(1)).median() > 127)
        return 255 - pixels if invert else pixels, invert

    @cached_property
    def samples(self) -> list[tuple[Tensor, str]]:
        """Some test images, spread over the classes, with their classes; SettingError if they are not on the disk."""
        data = self.network.data()
        if not data.at_hand():
            raise SettingError(
                f"the test images are not in {printable(data.root)}: use another folder with data.root=FOLDER"
            )
        test = self.network.test_images()
        labels, order = label_combinations(test.labels).sort(stable=True)
        turn = torch.arange(len(labels)) - torch.searchsorted(labels, labels)  # 0: the first image of its class
        rows = order[turn.argsort(stable=True)[:SAMPLES].sort().values].tolist()
        return [(test.pixels[[row]], printable(self.spec.name_of(test.labels[row]))) for row in rows]

    def answer(self, pixels: Tensor | None, method: str) -> Sequence[Any]:
        """Probabilities of the top classes, the input image, its important pixels by one of `methods`, a sentence."""
        if pixels is None:
            return None, None, None, ""
        network, names = self.network, [printable(name) for name in self.spec.class_names]
        probabilities = network.probabilities(pixels)
        values, top = (part.tolist() for part in probabilities[0].topk(min(TOP, len(names))))
        attributions = self.attributions(network.normalized(pixels), top[0], method)
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

    def attributions(self, image: Tensor, target: int, method: str) -> Tensor:
        """How much each pixel of a normalized image [1, C, H, W] matters for a class: [1, C or 1, H, W]."""
        if method == GRAD_CAM:
            return grad_cam(self.network.model, self.layer, image, torch.tensor([target], device=image.device))[None]
        return attribute(method, self.network.scores, image, target)

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


# Drawings -----------------------------------------------------------------------------------------------------------


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

    def pixels(self, paper: np.ndarray | None, spec: ImageSpec, invert: bool, centre: bool) -> Tensor | None:
        """A drawing uint8 [h, w, 3] on white, made as small as the images of the data set; None: nothing is drawn.

        Grey images only: `invert` makes it white on black, and `centre` places it as in the data set.
        """
        if paper is None or (paper == 255).all():
            return None
        ink = 255 - torch.from_numpy(paper.copy()).permute(2, 0, 1)[None]
        ink = resize_and_convert(ink, ink.shape[-1], spec.channels)
        centre &= spec.channels == 1
        ink = centre_ink(ink, self.size, self.box or 1) if centre else resize_images(ink, self.size)
        ink = resize_and_convert(ink, spec.size, spec.channels)
        return ink if invert and spec.channels == 1 else 255 - ink


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
    placed[:height, :width] = small
    for axis, side in enumerate((height, width)):
        mean = float((placed.sum(1 - axis) * (torch.arange(size) + 0.5)).sum() / placed.sum())
        placed = placed.roll(min(max(round(size / 2 - mean), 0), size - side), axis)
    return placed.round().clamp(0, 255).byte()[None, None]


# Important pixels ---------------------------------------------------------------------------------------------------


def attribute(method: str, network: Callable[[Tensor], Tensor], image: Tensor, target: int) -> Tensor:
    """How much each number of `image` [1, C, H, W] changes the score of the class `target`: [1, C, H, W].

    Integrated gradients (arXiv 1703.01365) add up to the score of the image minus that of the blank image. Occlusion
    (arXiv 1311.2901) is the mean over the windows that cover a pixel. Saliency (arXiv 1312.6034) has no sign.
    """
    import captum.attr

    blank, channels, side = blank_images(image), image.shape[1], max(1, image.shape[-1] // WINDOWS)
    stride, window = max(1, side // 2), (channels, side, side)
    arguments: dict[str, dict[str, Any]] = {
        "Integrated gradients": {"baselines": blank, "n_steps": STEPS, "internal_batch_size": AT_ONCE},
        "Occlusion": {"baselines": blank, "sliding_window_shapes": window, "strides": (channels, stride, stride)}
        | {"perturbations_per_eval": AT_ONCE},
        "Saliency": {},
    }
    algorithm = getattr(captum.attr, method.title().replace(" ", ""))(network)
    found: Tensor = algorithm.attribute(image.clone().requires_grad_(), target=target, **arguments[method])
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
