"""What a test leaves in a folder: its figures as JSON, and pictures of what they mean."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from labbook.config.path_rules import short_file_name
from labbook.data.datamodule import Split
from labbook.files import make_folder
from labbook.inference.evaluate.calibration import Bin
from labbook.inference.evaluate.class_metrics import EvaluationReport, report_as_data
from labbook.inference.evaluate.evaluate_run import EvaluatedRun
from labbook.plots import plots
from labbook.plots.contact_sheet import Picture
from labbook.runs import outputs
from labbook.runs.provenance import code_version
from labbook.training.label_tasks import MultilabelEvaluationResult

FOLDER = "evaluation"  # in that of the run
MISTAKES = 25
# Beginnings of the settings that change nothing of what a test comes to, or that `Tested.other` tells of.
INDIFFERENT = (
    *(
        "data=",
        "data.root=",
        "data.cache_dir=",
        "data.on_device=",
        "data.batch_size=",
        "data.augment=",
        "data.shuffle=",
    ),
    "data.sampler",
    "trainer.accelerator=",
)


@dataclass(frozen=True)
class EvaluationDescription:
    """Which test it was."""

    run: Path
    split: Split
    other: str  # what the other images are called; nothing where they were the run's own
    settings: tuple[str, ...]  # from the command line; those that change the figures are in the files' names

    changed: bool = False  # the run's own images are not those any more that the run was tested on
    apart: bool = False  # a test of other images has the name that this one would have

    @classmethod
    def of(
        cls, run: Path, split: Split, name: str, settings: tuple[str, ...], found: EvaluatedRun
    ) -> "EvaluationDescription":
        """From what was asked for, where `name` is that of other images, and what was found."""
        if name:
            return cls(run, split, "" if found.as_recorded else name, settings)
        own = not any(setting.startswith("data.") for setting in result_settings(settings))
        changed = own and found.as_recorded is False
        return cls(run, split, f"changed-{found.images}" if changed else "", settings, changed)

    def beside(self, folder: Path, images: str) -> "EvaluationDescription":
        """The same with a name of its own, if `folder` has a test of other images under this one."""
        try:
            there = json.loads((folder / f"evaluation{self.suffix}.json").read_text(encoding="utf-8"))["test_set"]
        except (OSError, ValueError, LookupError, TypeError):  # there is none that could be taken for this one
            return self
        return self if there == images else replace(self, other=f"{self.other}-{images}".lstrip("-"), apart=True)

    @property
    def notes(self) -> list[str]:
        """What should be said of the images."""
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
        """What tells its files from those of other tests: nothing for the run's own."""
        changed = result_settings(self.settings)
        parts = (self.other, "" if self.split == "test" else self.split, short_file_name("_".join(changed)))
        return "".join(f"_{part}" for part in parts if part)

    @property
    def images(self) -> str:
        """What was tested, as the beginning of a title."""
        return f"{self.split} images{f' of {self.other}' if self.other else ''}"


def write_evaluation(
    tested: EvaluationDescription, folder: Path, data: str, epoch: int, content: dict[str, Any]
) -> None:
    """Which test it was, and its `content`, as JSON in a folder; an earlier one of the same name is replaced.

    `data` is the class of the data module, `epoch` the number of epochs that the network was trained for.

    Raises:
        OSError: it could not be written.
    """
    make_folder(folder)
    which = {
        "run": str(tested.run),
        "split": tested.split,
        "data": data,
        "settings": list(tested.settings),
        "epoch": epoch,
        "code_version": code_version(),
    }
    text = json.dumps(which | content, indent=2, ensure_ascii=False)
    outputs.write_output(folder / f"evaluation{tested.suffix}.json", text + "\n")


def result_settings(settings: Sequence[str]) -> list[str]:
    """The settings that change what a test comes to."""
    return [setting for setting in settings if not setting.startswith(INDIFFERENT)]


def write_test(tested: EvaluationDescription, found: EvaluatedRun, judgement: EvaluationReport, folder: Path) -> None:
    """The figures and the pictures of a test; earlier ones of the same name are replaced.

    Raises:
        OSError: they could not be written.
    """
    images: dict[str, Any] = {
        "test_set": found.images,
        "as_recorded": found.as_recorded,
        "trained_on": found.seen.trained_on if found.seen else None,
        "left_out": found.matched.left_out,
        "without_images": found.matched.without_images,
    }
    write_evaluation(tested, folder, type(found.data).__name__, found.epoch, images | report_as_data(judgement))
    (folder / f"mistakes{tested.suffix}.png").unlink(missing_ok=True)  # where there are none any more
    for name, picture in evaluation_plots(tested, found, judgement).items():
        plots.save_png(picture, folder / f"{name}{tested.suffix}.png")


def evaluation_plots(
    tested: EvaluationDescription, found: EvaluatedRun, judgement: EvaluationReport
) -> dict[str, Picture]:
    """By name: what is mistaken for what, how far confidence can be trusted, the surest mistakes if there are any."""
    outcome, data = found.outcome, found.data
    names, accuracy = data.spec.class_names, f"{tested.images} by class: accuracy {judgement.acc:.2%}"
    trust = f"{tested.images}: calibration error {judgement.calibration_error:.4f}"
    made = {"calibration": reliability_plot(judgement.bins, trust)}
    if isinstance(outcome, MultilabelEvaluationResult):  # whose classes do not stand for each other
        return made
    made = {"confusion_matrix": plots.confusion_matrix(outcome.confusion, names, accuracy, found.names), **made}
    title = f"{tested.images}: wrong images (true → predicted, its probability)"
    images = data.parts[data.part_of(tested.split)]
    wrong = plots.plot_mistakes(outcome, images, names, title, MISTAKES, found.names)
    return made if wrong is None else made | {"mistakes": wrong}


def reliability_plot(bins: Sequence[Bin], title: str) -> Picture:
    """How often the network is right by how sure it is, above how many images it is so sure of."""
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
