"""Predictions on the terminal, line by line as they come, and as CSV and JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from labbook.data.image_spec import join_class_names
from labbook.errors import printable
from labbook.inference.predict.classify import Prediction
from labbook.runs.csv_text import csv_text

DIGITS = 6  # of probabilities in files


def prediction_headings(top: int, known: bool, several: bool = False) -> tuple[str, ...]:
    """The columns; `true` where the true classes are known, `classes` where an image may have several."""
    guesses = [f"{what}_{place}" for place in range(2, top + 1) for what in ("class", "probability")]
    return ("image", *(["true"] if known else []), "class", "probability", *guesses, *(["classes"] if several else []))


def prediction_cells(prediction: Prediction, digits: int = 4) -> tuple[str, ...]:
    """A row; probabilities with so many digits."""
    guesses = [
        cell for name, probability in prediction.guesses for cell in (printable(name), f"{probability:.{digits}f}")
    ]
    true = [] if prediction.true is None else [printable(prediction.true)]
    several = [] if prediction.classes is None else [printable(join_class_names(prediction.classes))]
    return (printable(prediction.image), *true, *guesses, *several)


@dataclass(frozen=True)
class PredictionColumns:
    """A table whose rows come one by one: how wide it is was found out before."""

    heads: tuple[str, ...]
    widths: tuple[int, ...]

    @classmethod
    def of(
        cls, images: Iterable[str], classes: Iterable[str], top: int, known: bool, several: bool = False
    ) -> "PredictionColumns":
        """As wide as the longest of all images, and of all classes, that there are."""
        widest = {
            "image": max((cell_len(printable(name)) for name in images), default=0),
            "class": max(cell_len(printable(name)) for name in classes),
        }
        widest["true"] = widest["class"]
        heads = prediction_headings(top, known, several)
        return cls(heads, tuple(max(cell_len(head), widest.get(head.partition("_")[0], 0)) for head in heads))

    def line(self, row: Sequence[str]) -> str:
        """A row, or the headings."""
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, self.widths, strict=True))
        return "  ".join(padded).rstrip()


def predictions_as_csv(predictions: Iterable[Prediction], top: int, known: bool, several: bool = False) -> str:
    """A row for each image."""
    return csv_text(
        [
            prediction_headings(top, known, several),
            *(prediction_cells(prediction, DIGITS) for prediction in predictions),
        ]
    )


def predictions_as_json(predictions: Iterable[Prediction]) -> str:
    """A list with an object for each image; its file's name is the exact one, whatever bytes that is made of."""
    lines = ",\n".join(json.dumps(prediction_as_data(prediction)) for prediction in predictions)
    return f"[\n{lines}\n]\n"


def prediction_as_data(prediction: Prediction) -> dict[str, object]:
    """A prediction in plain data."""
    top = [{"class": name, "probability": round(probability, DIGITS)} for name, probability in prediction.guesses]
    true = {} if prediction.true is None else {"true": prediction.true}
    several = {} if prediction.classes is None else {"classes": list(prediction.classes)}
    return {"image": prediction.image, **true, **top[0], "top": top, **several}
