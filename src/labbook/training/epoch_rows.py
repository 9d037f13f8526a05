"""The row of an epoch in metrics.csv: its columns, its metrics, and its line on the terminal."""

import csv
import io
import re
from dataclasses import dataclass

Row = dict[str, float]

OTHER_COLUMNS = ("epoch", "step", "lr", "images", "seconds", "images_per_second", "steps_per_second")
PART = re.compile(r"(train|val)[/_]")

WORTH_SAYING = 5.0  # estimated seconds to the end of the training
MOST = 3  # metrics of one data split in the line of an epoch
USUAL = ("loss", "acc")  # of a classifier, whose line shows only these


def rows_as_csv(rows: list[Row]) -> str:
    """Rows as CSV; a column that a row does not have is empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row if name != "images"))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def epoch_line(row: Row, epochs: int) -> str:
    """The line of an epoch on the terminal."""
    figures = [said for part in ("train", "val", "") if (said := metrics_of_part(row, part))]
    number = f"{int(row['epoch']):>{len(str(epochs))}}/{epochs}"
    pace = f"{row['seconds']:.1f} s  {pace_of_row(row)}"
    return "  ".join([f"epoch {number}", *figures, pace])


@dataclass
class Pace:
    """The speed of this process, without the part before a resume: it may be from another machine."""

    first_step: int  # of this process, perhaps within an epoch
    training: float = 0.0  # seconds of training steps
    rest: float = 0.0  # seconds of validation
    epochs: int = 0

    def add_epoch(self, seconds: float, training: float) -> None:
        """Add the seconds that this process needed to finish an epoch, and those of its training steps."""
        self.training += training
        self.rest += seconds - training
        self.epochs += 1

    def seconds_per_epoch(self, step: int, epochs: int) -> float:
        """Seconds of a whole epoch, after `step` at the end of `epochs`; 0 if this process has only validated."""
        trained = (step - self.first_step) * epochs / step if step else 0.0  # epochs, with a fraction
        return self.training / trained + self.rest / self.epochs if trained else 0.0


def time_left(seconds: float) -> str:
    """The remaining time; empty if it is short."""
    return f"  {format_duration(seconds)} left" if seconds >= WORTH_SAYING else ""


def format_duration(seconds: float) -> str:
    """A duration for people: 42 s, 5 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def is_layer_metric(name: str) -> bool:
    return name.startswith("gradient/")


def metric_names(row: Row) -> list[str]:
    return [name for name in row if name not in OTHER_COLUMNS and not name.startswith("lr/")]


def metrics_of_part(row: Row, part: str) -> str:
    """The first metrics of a data split, loss and accuracy first; without a split, all other metrics."""
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
    """The data split in a metric's name, as in train/loss or val_loss; empty if there is none."""
    match = PART.match(name)
    return match[1] if match else ""


def without_part(name: str) -> str:
    return PART.sub("", name)


def format_metric(value: float) -> str:
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def pace_of_row(row: Row) -> str:
    if "images_per_second" in row:
        return f"{row['images_per_second']:,.0f} images/s"
    return f"{row['steps_per_second']:,.1f} steps/s"
