"""Predictions: printed line by line, as CSV and JSON, and as a contact sheet."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from rich.cells import cell_len
from torch import Tensor

from labbook import console
from labbook.data.image_spec import join_class_names
from labbook.errors import printable
from labbook.inference.predict.classify import PredictedBatch, Prediction
from labbook.plots import fonts, plots
from labbook.plots.contact_sheet import CaptionLine, contact_sheet, file_name
from labbook.runs.outputs import csv_text

MOST = 64  # images in a contact sheet
DIGITS = 6  # of probabilities in files

Shown = Literal["first", "least-sure"]  # the images in the contact sheet, if there are more than `MOST`


@dataclass
class PredictionOutput:
    """The predictions so far."""

    shown: Shown = "first"
    predictions: list[Prediction] = field(default_factory=list)
    pictured: list[tuple[Prediction, Tensor]] = field(default_factory=list)  # uint8 [C, size, size], at most `MOST`
    problems: int = 0
    remarks: dict[str, list[str]] = field(default_factory=dict)  # with the files of each

    def add(self, batch: PredictedBatch) -> None:
        self.problems += len(batch.problems)
        for remark, file in batch.remarks:
            self.remarks.setdefault(remark, []).append(file)
        self.predictions += batch.predictions
        new = [(said, pixels.clone()) for said, pixels in zip(batch.predictions, batch.pixels, strict=True)]
        if self.shown == "least-sure":
            self.pictured = sorted(self.pictured + new, key=lambda each: each[0].guesses[0].probability)[:MOST]
        else:
            self.pictured += new[: MOST - len(self.pictured)]


@dataclass(frozen=True)
class PredictionColumns:
    """The columns of a table that is printed row by row, so their widths are computed before."""

    heads: tuple[str, ...]
    widths: tuple[int, ...]

    @classmethod
    def of(
        cls, images: Iterable[str], classes: Iterable[str], top: int, known: bool, several: bool = False
    ) -> "PredictionColumns":
        widest = {
            "image": max((cell_len(printable(name)) for name in images), default=0),
            "class": max(cell_len(printable(name)) for name in classes),
        }
        widest["true"] = widest["class"]
        heads = prediction_headings(top, known, several)
        return cls(heads, tuple(max(cell_len(head), widest.get(head.partition("_")[0], 0)) for head in heads))

    def line(self, row: Sequence[str]) -> str:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, self.widths, strict=True))
        return "  ".join(padded).rstrip()


def print_predictions(
    batches: Iterable[PredictedBatch], columns: PredictionColumns, shown: Shown = "first", to_the_end: bool = True
) -> PredictionOutput:
    """Print each batch, and unreadable files on standard error.

    Raises:
        BrokenPipeError: the reader of standard output has closed it, unless `to_the_end`.
    """
    told = PredictionOutput(shown)
    print(columns.line(columns.heads))
    for batch in batches:
        for problem in batch.problems:
            print(f"error: {problem}", file=sys.stderr)
        for prediction in batch.predictions:
            print(columns.line(prediction_cells(prediction)))
        if not to_the_end and console.reader_has_left(sys.stdout):
            raise BrokenPipeError
        told.add(batch)
    if known := [prediction for prediction in told.predictions if prediction.true is not None]:
        right = sum(prediction.true == predicted_text(prediction) for prediction in known)
        print(f"correct: {right:,} of {len(known):,}")
    return told


def predicted_text(prediction: Prediction) -> str:
    """The predicted class, or all predicted classes if an image can have several."""
    return prediction.guesses[0].name if prediction.classes is None else join_class_names(prediction.classes)


def prediction_notes(told: PredictionOutput, others: Sequence[Path], figure: Path | None) -> list[str]:
    count = len(told.predictions)
    found = []
    if others:
        found.append(f"left out, because their names are not those of images: {len(others):,}, such as {others[0]}")
    if told.problems:
        found.append(f"could not be read as images: {told.problems:,} of {told.problems + count:,} files")
    found += [f"{len(files):,} files have {remark}; the first is {files[0]}" for remark, files in told.remarks.items()]
    if figure and count > MOST:
        which = f"the {MOST} least sure" if told.shown == "least-sure" else f"the first {MOST}"
        other = "" if told.shown == "least-sure" else "; --figure-images least-sure shows the least sure ones"
        found.append(f"{figure} shows {which} of {count:,} images{other}")
    if figure and not count:
        found.append(f"{figure} was not written, as there is no image to show")
    return found


def write_contact_sheet(told: PredictionOutput, title: str, classes: Sequence[str], file: Path) -> None:
    """Write a PNG of the images as the network saw them, with their predictions."""
    names = dict(zip(classes, fonts.drawable_names(classes), strict=True))
    tiles = plots.image_tiles(torch.stack([pixels for _, pixels in told.pictured]))
    captions = [prediction_caption(prediction, names) for prediction, _ in told.pictured]
    plots.save_png(contact_sheet(tiles, captions, title), file)


def prediction_caption(prediction: Prediction, names: Mapping[str, str]) -> list[CaptionLine]:
    """The lines below an image: its class if known, the predicted class, its file. `names` has the names to print."""
    if prediction.classes is not None:
        said = join_class_names(names[name] for name in prediction.classes)
        true = [] if prediction.true is None else [CaptionLine(prediction.true)]
        return [*true, CaptionLine(f"→ {said}"), CaptionLine(file_name(prediction.image))]
    name, probability = prediction.guesses[0]
    if prediction.true is None:
        return [CaptionLine(names[name], f"{probability:.0%}"), CaptionLine(file_name(prediction.image))]
    guess = CaptionLine(f"→ {names[name]}", f"{probability:.0%}")
    return [CaptionLine(names[prediction.true]), guess, CaptionLine(f"image {prediction.image}")]


# Tables -------------------------------------------------------------------------------------------------------------


def prediction_headings(top: int, known: bool, several: bool = False) -> tuple[str, ...]:
    """The columns; `true` if the true classes are known, `classes` if an image can have several."""
    guesses = [f"{what}_{place}" for place in range(2, top + 1) for what in ("class", "probability")]
    return ("image", *(["true"] if known else []), "class", "probability", *guesses, *(["classes"] if several else []))


def prediction_cells(prediction: Prediction, digits: int = 4) -> tuple[str, ...]:
    guesses = (cell for name, part in prediction.guesses for cell in (printable(name), f"{part:.{digits}f}"))
    true = [] if prediction.true is None else [printable(prediction.true)]
    several = [] if prediction.classes is None else [printable(join_class_names(prediction.classes))]
    return (printable(prediction.image), *true, *guesses, *several)


def predictions_as_csv(predictions: Iterable[Prediction], top: int, known: bool, several: bool = False) -> str:
    rows = (prediction_cells(prediction, DIGITS) for prediction in predictions)
    return csv_text([prediction_headings(top, known, several), *rows])


def predictions_as_json(predictions: Iterable[Prediction]) -> str:
    """A list with an object for each image; the file name is exact, also if it is not valid Unicode."""
    lines = ",\n".join(json.dumps(prediction_as_data(prediction)) for prediction in predictions)
    return f"[\n{lines}\n]\n"


def prediction_as_data(prediction: Prediction) -> dict[str, object]:
    top = [{"class": name, "probability": round(probability, DIGITS)} for name, probability in prediction.guesses]
    true = {} if prediction.true is None else {"true": prediction.true}
    several = {} if prediction.classes is None else {"classes": list(prediction.classes)}
    return {"image": prediction.image, **true, **top[0], "top": top, **several}
