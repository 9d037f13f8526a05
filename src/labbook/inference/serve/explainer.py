"""What the page shows of an image: the classes, what the network saw, and which pixels mattered."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from labbook.data.spec import joined
from labbook.errors import printable
from labbook.inference.serve import image_inputs
from labbook.inference.serve.attribution import METHODS, heat
from labbook.inference.serve.image_inputs import Habits
from labbook.inference.trained_model import Trained
from labbook.runs.run_folder import read_metrics

TOP = 5


class Answer(NamedTuple):
    """Of one image."""

    probabilities: dict[str, float]  # of the likeliest classes
    seen: np.ndarray  # uint8 [h, w, 3]
    mattered: np.ndarray  # uint8 [h, w, 3]
    told: str  # what `mattered` shows


@dataclass(frozen=True)
class Explainer:
    """A network that answers with reasons."""

    network: Trained
    habits: Habits

    @classmethod
    def of(cls, network: Trained) -> "Explainer":
        """With the habits of the data that the network was trained on."""
        return cls(network, Habits.of(network.config, network.spec))

    def __call__(self, pixels: Tensor, method: str) -> Answer:
        """Of an image uint8 [1, C, size, size], with one of `METHODS`."""
        names = [printable(name) for name in self.network.spec.class_names]
        probabilities = self.network.probabilities(pixels)
        likeliest = probabilities[0].topk(min(TOP, len(names)))
        several = self.network.several_classes(probabilities)
        predicted = f"Above their thresholds: {printable(joined(several[0]))}. " if several else ""
        target = int(likeliest.indices[0])
        images = self.network.spec.normalize(pixels.to(self.network.device))
        attributions = METHODS[method].attribute(self.network.scores, images, target)
        name, method_meaning = names[target], METHODS[method].meaning
        if bool((attributions < 0).any()):
            meaning = f"Orange speaks for {name}, blue against it: {method_meaning}."
        else:
            meaning = f"The more orange, the more it matters for {name}: {method_meaning}."
        return Answer(
            {names[index]: value for value, index in zip(*(part.tolist() for part in likeliest), strict=True)},
            image_inputs.seen(pixels),
            image_inputs.overlaid(pixels, heat(attributions)),
            predicted + meaning,
        )

    @property
    def title(self) -> str:
        """The network and the run that trained it."""
        return f"{self.network.model.title} of {printable(self.network.path)}"

    @property
    def about(self) -> str:
        """What the run found on its test images, of how far trained a network, and where it works now."""
        accuracy = read_metrics(self.network.path).get("test/acc")
        tested = f"test accuracy {accuracy:.4f}" if isinstance(accuracy, float) else "not tested yet"
        spec = self.network.spec
        return (
            f"{tested}; {spec.num_classes} classes; sees {spec.channels} x {spec.size} x {spec.size} pixels; weights of"
            f" epoch {self.network.epoch}; works on {self.network.device}"
        )
