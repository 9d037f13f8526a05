"""The files of a test: metrics as JSON, and plots."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from labbook.config.path_rules import short_file_name
from labbook.data.datamodule import Split
from labbook.files import finite_or_null, make_folder, read_json
from labbook.inference.evaluate.class_metrics import (
    Bin,
    EvaluationReport,
    evaluation_report,
    print_report,
)
from labbook.inference.evaluate.evaluate_run import EvaluatedRun, LoggedTest
from labbook.plots import plots
from labbook.plots.contact_sheet import Picture
from labbook.runs import outputs
from labbook.runs.provenance import code_version
from labbook.training.label_tasks import MultilabelEvaluationResult

FOLDER = "evaluation"  # in the run folder
MISTAKES = 25
# Settings (their beginnings) that do not change the result, or are named by `EvaluationDescription.other`.
INDIFFERENT = (
    "data=", "data.root=", "data.cache_dir=", "data.on_device=", "data.batch_size=", "data.augment=", "data.shuffle=",
    "data.sampler", "trainer.accelerator=",
)  # fmt: skip


@dataclass(frozen=True)
class EvaluationDescription:
    """Which test it is. The names of its files follow from it."""

    run: Path
    split: Split
    other: str  # a name for other images than the run's; empty: the run's own
    settings: tuple[str, ...]  # from the command line
    changed: bool = False  # the run's own images have changed since its test
    apart: bool = False  # an earlier test of other images has the same file names

    @classmethod
    def of(
        cls, run: Path, split: Split, name: str, settings: tuple[str, ...], found: EvaluatedRun
    ) -> "EvaluationDescription":
        if name:
            return cls(run, split, "" if found.as_recorded else name, settings)
        own = not any(setting.startswith("data.") for setting in result_settings(settings))
        changed = own and found.as_recorded is False
        return cls(run, split, f"changed-{found.images}" if changed else "", settings, changed)

    def beside(self, folder: Path, images: str) -> "EvaluationDescription":
        """The same with other file names, if `folder` has a test of other images with these names."""
        there = read_json(folder / f"evaluation{self.suffix}.json").get("test_set", images)
        return self if there == images else replace(self, other=f"{self.other}-{images}".lstrip("-"), apart=True)

    @property
    def notes(self) -> list[str]:
        if self.apart:
            return [f"an earlier test used other images, so the file names of this one end in {self.suffix}"]
        if not self.changed:
            return []
        return [
            f"the {self.split} images are not those that the run recorded, so the metrics cannot be compared; the"
            f" files of this test end in {self.suffix}"
        ]

    @property
    def suffix(self) -> str:
        """The end of the file names; empty for the run's own test."""
        changed = result_settings(self.settings)
        parts = (self.other, "" if self.split == "test" else self.split, short_file_name("_".join(changed)))
        return "".join(f"_{part}" for part in parts if part)

    @property
    def images(self) -> str:
        """The beginning of a title."""
        return f"{self.split} images{f' of {self.other}' if self.other else ''}"


def write_evaluation(
    tested: EvaluationDescription, folder: Path, data: str, epoch: int, content: dict[str, Any]
) -> None:
    """Write the JSON file of a test; `data` is the class of the data module, `epoch` that of the weights."""
    make_folder(folder)
    which = {
        "run": str(tested.run),
        "split": tested.split,
        "data": data,
        "settings": list(tested.settings),
        "epoch": epoch,
        "code_version": code_version(),
    }
    text = json.dumps(which | finite_or_null(content), indent=2, ensure_ascii=False)
    outputs.write_output(folder / f"evaluation{tested.suffix}.json", text + "\n")


def result_settings(settings: Sequence[str]) -> list[str]:
    return [setting for setting in settings if not setting.startswith(INDIFFERENT)]


def write_test(tested: EvaluationDescription, found: EvaluatedRun, judgement: EvaluationReport, folder: Path) -> None:
    images: dict[str, Any] = {
        "test_set": found.images,
        "as_recorded": found.as_recorded,
        "trained_on": found.trained_on,
        "left_out": found.matched.left_out,
        "without_images": found.matched.without_images,
    }
    write_evaluation(tested, folder, type(found.data).__name__, found.epoch, images | asdict(judgement))
    (folder / f"mistakes{tested.suffix}.png").unlink(missing_ok=True)  # of an earlier test
    for name, picture in evaluation_plots(tested, found, judgement).items():
        plots.save_png(picture, folder / f"{name}{tested.suffix}.png")


def evaluation_plots(
    tested: EvaluationDescription, found: EvaluatedRun, judgement: EvaluationReport
) -> dict[str, Picture]:
    """Confusion matrix, calibration, and the most confident errors if there are any, by name."""
    outcome, data = found.outcome, found.data
    names, accuracy = data.spec.class_names, f"{tested.images} by class: accuracy {judgement.acc:.2%}"
    trust = f"{tested.images}: calibration error {judgement.calibration_error:.4f}"
    made = {"calibration": reliability_plot(judgement.bins, trust)}
    if isinstance(outcome, MultilabelEvaluationResult):
        return made
    made = {"confusion_matrix": plots.confusion_matrix(outcome.confusion, names, accuracy, found.names), **made}
    title = f"{tested.images}: wrong images (true → predicted, its probability)"
    images = data.parts[data.part_of(tested.split)]
    wrong = plots.plot_mistakes(outcome, images, names, title, MISTAKES, found.names)
    return made if wrong is None else made | {"mistakes": wrong}


def reliability_plot(bins: Sequence[Bin], title: str) -> Picture:
    """Accuracy by confidence, above the number of images by confidence."""
    figure = Figure(figsize=(5, 5.6), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    left, widths = [item.low for item in bins], [item.high - item.low for item in bins]
    look: dict[str, Any] = {"align": "edge", "color": plots.TRAIN, "edgecolor": "white"}
    above.bar(left, [item.accuracy if item.images else 0 for item in bins], widths, label="accuracy by bin", **look)
    filled = [item for item in bins if item.images]
    means = [[item.confidence for item in filled], [item.accuracy for item in filled]]
    above.plot(*means, "o", color=plots.HELD_OUT, markersize=4, label="accuracy of each bin", clip_on=False)
    above.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle="--", label="accuracy = confidence")
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy", title=title)
    above.legend(loc="upper left", fontsize=8)
    below.bar(left, [item.images for item in bins], widths, **look)
    below.set(xlabel="confidence: probability of the predicted class", ylabel="images")
    return plots.figure_pixels(figure)


def write_logged_test(tested: EvaluationDescription, found: LoggedTest, folder: Path) -> None:
    report = {} if found.outcome is None else asdict(evaluation_report(found.outcome, found.class_names))
    write_evaluation(tested, folder, found.data, found.epoch, report | {"metrics": found.metrics})


def print_logged_test(found: LoggedTest, every: bool) -> None:
    if found.outcome is not None:
        print_report(evaluation_report(found.outcome, found.class_names), "test", every)
        return
    for name, value in found.metrics.items():
        print(f"{name} {value:.4f}")
