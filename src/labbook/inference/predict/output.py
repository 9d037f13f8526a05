"""Predictions as they come: printed, kept for the files that were asked for, and the first of them as a picture."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from labbook import streams
from labbook.data.image_spec import join_class_names
from labbook.inference.predict.classify import PredictedBatch, Prediction
from labbook.inference.predict.tables import PredictionColumns, prediction_cells
from labbook.plots import fonts, plots
from labbook.plots.contact_sheet import CaptionLine, contact_sheet, file_name

MOST = 64  # images in a picture


Shown = Literal["first", "least-sure"]  # which images are in the picture, if there are more than `MOST`


@dataclass
class PredictionOutput:
    """What was told so far."""

    shown: Shown = "first"
    predictions: list[Prediction] = field(default_factory=list)
    pictured: list[tuple[Prediction, Tensor]] = field(default_factory=list)  # uint8 [C, size, size], at most `MOST`
    problems: int = 0
    remarks: dict[str, list[str]] = field(default_factory=dict)  # and the files that each is of

    def add(self, batch: PredictedBatch) -> None:
        """Take a batch, and of its images those that belong into the picture."""
        self.problems += len(batch.problems)
        for remark, file in batch.remarks:
            self.remarks.setdefault(remark, []).append(file)
        self.predictions += batch.predictions
        new = [(said, pixels.clone()) for said, pixels in zip(batch.predictions, batch.pixels, strict=True)]
        if self.shown == "least-sure":
            self.pictured = sorted(self.pictured + new, key=lambda each: each[0].guesses[0].probability)[:MOST]
        else:
            self.pictured += new[: MOST - len(self.pictured)]


def print_predictions(
    batches: Iterable[PredictedBatch], columns: PredictionColumns, shown: Shown = "first", to_the_end: bool = True
) -> PredictionOutput:
    """Print each batch, and on the error stream the files that are no images.

    Raises:
        BrokenPipeError: nobody reads standard output any more, unless it is to go on `to_the_end`.
    """
    told = PredictionOutput(shown)
    print(columns.line(columns.heads))
    for batch in batches:
        for problem in batch.problems:
            print(f"error: {problem}", file=sys.stderr)
        for prediction in batch.predictions:
            print(columns.line(prediction_cells(prediction)))
        if not to_the_end and streams.reader_has_left(sys.stdout):
            raise BrokenPipeError
        told.add(batch)
    if known := [prediction for prediction in told.predictions if prediction.true is not None]:
        right = sum(prediction.true == predicted_text(prediction) for prediction in known)
        print(f"correct: {right:,} of {len(known):,}")
    return told


def predicted_text(prediction: Prediction) -> str:
    """The class that is predicted; all of them where an image may have several."""
    return prediction.guesses[0].name if prediction.classes is None else join_class_names(prediction.classes)


def prediction_notes(told: PredictionOutput, others: Sequence[Path], figure: Path | None) -> list[str]:
    """What else one should know of the images."""
    count = len(told.predictions)
    found = []
    if others:
        found.append(
            f"left out, because their names are not those of images: {len(others):,}, such as {others[0]}, left out"
        )
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
    """A contact sheet of images as the network saw them, with their predictions, as PNG.

    Raises:
        OSError: it could not be written.
    """
    names = dict(zip(classes, fonts.drawable_names(classes), strict=True))
    tiles = plots.image_tiles(torch.stack([pixels for _, pixels in told.pictured]))
    captions = [prediction_caption(prediction, names) for prediction, _ in told.pictured]
    plots.save_png(contact_sheet(tiles, captions, title), file)


def prediction_caption(prediction: Prediction, names: Mapping[str, str]) -> list[CaptionLine]:
    """The lines below an image: its class, if that is known, the predicted one, and its file; `names` as drawn."""
    if prediction.classes is not None:
        said = join_class_names(names[name] for name in prediction.classes)
        true = [] if prediction.true is None else [CaptionLine(prediction.true)]
        return [*true, CaptionLine(f"→ {said}"), CaptionLine(file_name(prediction.image))]
    name, probability = prediction.guesses[0]
    if prediction.true is None:
        return [CaptionLine(names[name], f"{probability:.0%}"), CaptionLine(file_name(prediction.image))]
    guess = CaptionLine(f"→ {names[name]}", f"{probability:.0%}")
    return [CaptionLine(names[prediction.true]), guess, CaptionLine(f"image {prediction.image}")]
