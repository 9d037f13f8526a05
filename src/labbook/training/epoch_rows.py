"""The row that an epoch has in metrics.csv: its columns, its metrics, and what is said of it on the terminal."""

import csv
import io
import re

Row = dict[str, float]

OTHER_COLUMNS = ("epoch", "step", "lr", "images", "seconds", "images_per_second", "steps_per_second")
PART = re.compile(r"(train|val)[/_]")

WORTH_SAYING = 5.0  # seconds left of the training
MOST = 3  # metrics of a part of the data that the line of an epoch shows
USUAL = ("loss", "acc")  # of a classifier, of which the line shows no others


def rows_as_csv(rows: list[Row]) -> str:
    """The rows as CSV; a column that only some rows have stays empty in the others."""
    columns = list(dict.fromkeys(name for row in rows for name in row if name != "images"))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def epoch_line(row: Row, epochs: int) -> str:
    """An epoch in words."""
    figures = [said for part in ("train", "val", "") if (said := metrics_of_part(row, part))]
    number = f"{int(row['epoch']):>{len(str(epochs))}}/{epochs}"
    pace = f"{row['seconds']:.1f} s  {pace_of_row(row)}"
    return "  ".join([f"epoch {number}", *figures, pace])


def time_left(rows: list[Row], epochs: int) -> str:
    """How long the rest takes, by the mean of the epochs done; nothing where that is soon over."""
    seconds = epochs * sum(row["seconds"] for row in rows) / len(rows)
    return f"  {format_duration(seconds)} left" if seconds >= WORTH_SAYING else ""


def format_duration(seconds: float) -> str:
    """Seconds as a person says them: 42 s, 5 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def is_layer_metric(name: str) -> bool:
    """Whether a metric is one of `GradientNorms`."""
    return name.startswith("gradient/")


def metric_names(row: Row) -> list[str]:
    """The names of the metrics that the module logged."""
    return [name for name in row if name not in OTHER_COLUMNS and not name.startswith("lr/")]


def metrics_of_part(row: Row, part: str) -> str:
    """The first metrics that a row has of a part of the data, loss and accuracy first; without a part, the rest."""
    found = {
        without_part(name): row[name]
        for name in metric_names(row)
        if part_of_metric(name) == part and not is_layer_metric(name)
    }
    first = {name: found[name] for name in USUAL if name in found}
    shown = first if len(first) == len(USUAL) else dict([*(first | found).items()][:MOST])
    said = " ".join(f"{name} {format_metric(value)}" for name, value in shown.items())
    return f"{part} {said}".strip() if said else ""


def part_of_metric(name: str) -> str:
    """The part of the data that a metric is of by its name, as train/loss or val_loss; nothing if it does not say."""
    match = PART.match(name)
    return match[1] if match else ""


def without_part(name: str) -> str:
    """A metric's name without the part of the data."""
    return PART.sub("", name)


def format_metric(value: float) -> str:
    """A value in few digits."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def pace_of_row(row: Row) -> str:
    """How many images, or steps, a second took."""
    if "images_per_second" in row:
        return f"{row['images_per_second']:,.0f} images/s"
    return f"{row['steps_per_second']:,.1f} steps/s"
