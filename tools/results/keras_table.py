"""The same training in PyTorch and in Keras, as measured once, in a table."""

import csv
from collections.abc import Iterator
from pathlib import Path

from labbook.reports.grouping import Mean
from labbook.reports.table_cells import format_spread

COLUMNS = ("seed", "epoch", "test acc", "test acc of Keras", "seconds", "seconds of Keras")


def table(file: Path) -> str:
    """Test accuracy after the last epoch and seconds of all epochs, over the seeds, of both frameworks."""
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    lines = ["| framework | test acc | n | seconds |", "| --- | ---: | ---: | ---: |"]
    for name, of in (("PyTorch, by Labbook", ""), ("Keras", " of Keras")):
        accuracies, seconds = zip(*ends(rows, f"test acc{of}", f"seconds{of}"), strict=True)
        mean = format_spread("test/acc", Mean.of(accuracies))
        lines.append(f"| {name} | {mean} | {len(accuracies)} | {format_spread('train_seconds', Mean.of(seconds))} |")
    return "\n".join(lines)


def ends(rows: list[dict[str, str]], accuracy: str, seconds: str) -> Iterator[tuple[float, float]]:
    """For each seed the accuracy of its last epoch and the seconds of all its epochs."""
    for seed in dict.fromkeys(row["seed"] for row in rows):
        epochs = sorted((row for row in rows if row["seed"] == seed), key=lambda row: int(row["epoch"]))
        yield float(epochs[-1][accuracy]), sum(float(row[seconds]) for row in epochs)
