"""Some of the test images of a run, to try its network on, where they are at hand."""

from collections import Counter
from typing import NamedTuple

from torch import Tensor

from labbook.data.spec import combinations
from labbook.errors import SettingError, printable
from labbook.inference.trained_model import Trained

SHOWN = 20


class Samples(NamedTuple):
    """A few test images."""

    pixels: Tensor  # uint8 [n, C, size, size]
    names: list[str]  # their true classes


def at_hand(network: Trained) -> Samples:
    """Test images of a run, of as many classes as there is room for; nothing is downloaded for it.

    Raises:
        SettingError: they are not there, or not those of this network any more.
    """
    data = network.data()
    if not data.at_hand():
        raise SettingError(
            f"the test images are not in {printable(data.root)}: name another place with data.root=FOLDER"
        )
    test = network.test_images()
    rows = spread(combinations(test.labels).tolist())
    return Samples(test.pixels[rows], [printable(network.spec.name_of(test.labels[row])) for row in rows])


def spread(labels: list[int]) -> list[int]:
    """Rows of `SHOWN` images: the first of each class, then the second of each, in order of class."""
    there: Counter[int] = Counter()
    turns = []
    for label in labels:
        turns.append(there[label])
        there[label] += 1
    rows = sorted(range(len(labels)), key=lambda row: (turns[row], labels[row]))[:SHOWN]
    return sorted(rows, key=lambda row: (labels[row], row))
