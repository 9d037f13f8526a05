"""Predictions as they come: printed, kept for the files that were asked for, and the first of them as a picture."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from labbook import figures
from labbook.names import printable
from labbook.prediction.predicting import Predicted, Prediction
from labbook.prediction.tables import Columns, cells

MOST = 64  # images in a picture


@dataclass
class Told:
    """What was told so far."""

    predictions: list[Prediction] = field(default_factory=list)
    pixels: list[Tensor] = field(default_factory=list)  # uint8 [C, size, size], of the first `MOST`
    problems: int = 0


def tell(batches: Iterable[Predicted], columns: Columns) -> Told:
    """Print each batch, and on the error stream the files that are no images."""
    told = Told()
    print(columns.line(columns.heads))
    for batch in batches:
        for problem in batch.problems:
            print(f"error: {problem}", file=sys.stderr)
        for prediction in batch.predictions:
            print(columns.line(cells(prediction)))
        told.problems += len(batch.problems)
        told.pixels += [pixels.clone() for pixels in batch.pixels[: MOST - len(told.pixels)]]
        told.predictions += batch.predictions
    if known := [prediction for prediction in told.predictions if prediction.true is not None]:
        right = sum(prediction.true == prediction.guesses[0].name for prediction in known)
        print(f"right: {right:,} of {len(known):,}")
    return told


def notes(told: Told, others: Sequence[Path], figure: Path | None) -> list[str]:
    """What else one should know of the images."""
    count = len(told.predictions)
    found = []
    if others:
        found.append(f"files in folders that are not named as images: {len(others):,}, such as {others[0]}, left out")
    if told.problems:
        found.append(f"could not be read as images: {told.problems:,} of {told.problems + count:,} files")
    if figure and count > MOST:
        found.append(f"{figure} shows the first {MOST} of {count:,} images")
    if figure and not count:
        found.append(f"{figure} was not written, as there is no image to show")
    return found


def draw(told: Told, title: str, file: Path) -> None:
    """A sheet of the first images as the network saw them, with what it said, as PNG.

    Raises:
        OSError: it could not be written.
    """
    tiles = figures.tiles(torch.stack(told.pixels))
    picture = figures.gallery(tiles, [caption(prediction) for prediction in told.predictions[:MOST]], printable(title))
    figures.save(picture, file)


def caption(prediction: Prediction) -> str:
    """What stands above an image: what it was taken for, and what it is or how its file is called."""
    name, probability = prediction.guesses[0]
    said = f"{printable(name)} {probability:.0%}"
    if prediction.true is None:
        return f"{said}  {printable(Path(prediction.image).name)}"
    return f"{prediction.image}: {printable(prediction.true)} → {said}"
