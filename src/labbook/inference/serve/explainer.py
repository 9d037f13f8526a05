"""What the page's controls do, without Gradio: images in, the network's answer and its reasons out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from labbook.data.image_spec import join_class_names, label_combinations
from labbook.errors import SettingError, printable
from labbook.inference.serve import images
from labbook.inference.serve.attribution import METHODS, attribute, heat_map_of
from labbook.inference.trained_model import TrainedModel, decoding_of_run
from labbook.runs.run_folder import read_metrics

TOP = 5
SAMPLES = 20


class Explainer:
    """A network that answers with reasons. Pixels are uint8 [1, C, size, size]; a complaint is empty or a sentence."""

    def __init__(self, network: TrainedModel) -> None:
        self.network = network
        self.habits = images.ImageHabits.of(network.config, network.spec)
        self.samples: list[tuple[Tensor, str]] = []  # test images with their true classes

    def from_file(
        self, file: dict[str, Any] | None, invert: bool | None = None
    ) -> tuple[Tensor | None, str, bool | None]:
        """A file's pixels, a complaint, and whether they are inverted: by default if it looks dark on light."""
        if not file or not file.get("path"):
            return None, "", False
        spec = self.network.spec
        try:
            pixels = images.pixels_of_file(Path(file["path"]), spec, decoding_of_run(self.network.config, spec))
        except SettingError as error:
            return None, str(error), invert
        if invert is None:
            invert = self.habits.dark and images.has_light_border(pixels)
        return 255 - pixels if invert else pixels, "", invert

    def from_drawing(self, drawing: dict[str, Any] | None, invert: bool, centre: bool) -> Tensor | None:
        """The pixels of a drawing; None where it is empty."""
        if drawing is None or drawing["composite"] is None:
            return None
        return images.pixels_of_drawing(drawing["composite"], self.network.spec, self.habits, invert, centre)

    def test_images(self) -> tuple[list[tuple[np.ndarray, str]], str]:
        """Test images for the gallery, of as many classes as there is room for, or why there are none.

        Nothing is downloaded for them.
        """
        try:
            if not self.samples:
                self.samples = sample_images(self.network)
        except SettingError as error:
            return [], f"No test images: {error}."
        return [(images.enlarge(pixels), name) for pixels, name in self.samples], ""

    def answer(self, pixels: Tensor | None, method: str) -> Sequence[Any]:
        """Probabilities of the likeliest classes, the image as it is seen, which pixels mattered, and what these mean.

        `method` is one of `METHODS`.
        """
        if pixels is None:
            return None, None, None, ""
        network, names = self.network, [printable(name) for name in self.network.spec.class_names]
        probabilities = network.probabilities(pixels)
        values, likeliest = (part.tolist() for part in probabilities[0].topk(min(TOP, len(names))))
        name = names[likeliest[0]]
        normalised = network.spec.normalize(pixels.to(network.device))
        attributions = attribute(method, network.scores, normalised, likeliest[0])
        if bool((attributions < 0).any()):
            meaning = f"Orange pixels increase the score of {name}, blue pixels decrease it. Shown: {METHODS[method]}."
        else:
            meaning = f"Orange pixels are important for {name}. Shown: {METHODS[method]}."
        if several := network.several_classes(probabilities):
            meaning = (
                f"Predicted classes (above their thresholds): {printable(join_class_names(several[0]))}. {meaning}"
            )
        return (
            {names[index]: value for index, value in zip(likeliest, values, strict=True)},
            images.enlarge(pixels),
            images.enlarge(images.overlay_heat(pixels, heat_map_of(attributions))),
            meaning,
        )

    @property
    def title(self) -> str:
        """The network and the run that trained it."""
        return f"{self.network.model.title} of {printable(self.network.path)}"

    @property
    def about(self) -> str:
        """The test accuracy, what the network sees, its weights and its device."""
        accuracy = read_metrics(self.network.path).get("test/acc")
        tested = f"test accuracy {accuracy:.4f}" if isinstance(accuracy, float) else "not tested yet"
        spec = self.network.spec
        return (
            f"{tested}; {spec.num_classes} classes; input {spec.channels} x {spec.size} x {spec.size} pixels;"
            f" weights of epoch {self.network.epoch}; device {self.network.device}"
        )


def sample_images(network: TrainedModel) -> list[tuple[Tensor, str]]:
    """Test images of a run with their true classes.

    Raises:
        SettingError: they are not there, or no longer those of this network.
    """
    data = network.data()
    if not data.at_hand():
        raise SettingError(
            f"the test images are not in {printable(data.root)}: use another folder with data.root=FOLDER"
        )
    test = network.test_images()
    rows = spread_over_classes(label_combinations(test.labels).tolist())
    return [(test.pixels[[row]], printable(network.spec.name_of(test.labels[row]))) for row in rows]


def spread_over_classes(labels: list[int]) -> list[int]:
    """Rows of `SAMPLES` images: the first of each class, then the second of each, in order of class."""
    rows_of: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        rows_of.setdefault(label, []).append(row)
    turns = sorted((turn, label, row) for label, rows in rows_of.items() for turn, row in enumerate(rows))
    return [row for _, row in sorted((label, row) for _, label, row in turns[:SAMPLES])]
