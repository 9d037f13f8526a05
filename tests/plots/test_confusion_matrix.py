"""Confusion as a plot that can be read, whatever the number and the names of classes."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from labbook.plots.confusion_matrix import confusion_plot
from labbook.plots.most_confused import Confused, describe_confused, most_confused

LONG = [f"photographs of a kind of animal that is called number {number} of all" for number in range(2)]


def counts(classes: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Mostly right; the first class is taken for the last by 7 of 27 images."""
    found = 20 * np.eye(classes, dtype=np.int64)
    found[0, -1] = 7
    return found


def drawn(names: list[str], title: str = "test images by class: accuracy 81.25%") -> Figure:
    figure = confusion_plot(counts(len(names)), names, names, title)
    FigureCanvasAgg(figure).draw()
    return figure


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(match=lambda each: hasattr(each, "get_text")) if text.get_text()]


@pytest.mark.parametrize("names", [LONG, ["a", "b"], list("0123456789"), [f"number {n}" for n in range(50)]], ids=len)
def test_all_is_inside_and_the_matrix_is_large_enough(names: list[str]) -> None:
    figure = drawn(names, "test images of a folder with a long name by class: accuracy 81.25%")
    pixels = figure.bbox
    for text in figure.findobj(match=lambda each: hasattr(each, "get_text")):
        if text.get_text():
            box = text.get_window_extent()
            assert pixels.x0 <= box.x0 < box.x1 <= pixels.x1, text
            assert pixels.y0 <= box.y0 < box.y1 <= pixels.y1, text
    side = figure.axes[0].get_window_extent()
    assert side.width == pytest.approx(side.height)
    assert side.width >= max(2.2 * 120, len(names) * 0.2 * 120 - 1)
    assert "accuracy 81.25%" in " ".join(words(figure)).replace("\n", " ")


def test_of_many_classes_the_most_confused_pairs_are_shown() -> None:
    shown = words(drawn([f"class {number}" for number in range(100)]))
    assert "class 0 → class 99" in shown
    assert "7  (26%)" in shown
    assert not any("class 50" in text for text in shown)


def test_pairs_are_counted_and_sorted() -> None:
    matrix = np.array([[5, 1, 4], [0, 0, 0], [2, 2, 6]])
    assert most_confused(matrix) == [
        Confused(0, 2, 4, 0.4), Confused(2, 0, 2, 0.2), Confused(2, 1, 2, 0.2), Confused(0, 1, 1, 0.1),
    ]  # fmt: skip
    assert len(most_confused(matrix, 2)) == 2
    assert describe_confused(matrix, "abc") == "Most frequent errors: a for c (4), c for a (2), c for b (2)."
    assert describe_confused(np.eye(2, dtype=np.int64), "ab") == "No image is wrong."
