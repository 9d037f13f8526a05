"""The runs to compare, read from their folders. Imports torch only to test a run again."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from labbook import lazy_imports
from labbook.config.schema import with_schema_types
from labbook.errors import SettingError, printable
from labbook.inference.evaluate.predictions import Predictions
from labbook.reports.read_runs import RunRecord, read_run
from labbook.runs import resume
from labbook.runs.run_folder import CONFIG, PREDICTIONS, WITH_FIGURES
from labbook.runs.sweep_folder import SweepFolder


@dataclass(frozen=True)
class Candidate:
    """One of the runs."""

    label: str
    path: Path
    config: DictConfig
    run: RunRecord  # the content of its folder, with all current settings

    @property
    def finished(self) -> bool:
        """Whether it has final metrics."""
        return self.run.state in WITH_FIGURES


def only_runs(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The run folders among the paths, without other folders that a pattern such as logs/sweeps/NAME/* matched."""
    beside = {path.absolute().parent for path in paths if (path / CONFIG).is_file()}
    others = [
        path
        for path in paths
        if path.absolute().parent in beside
        and path.exists()
        and not (path / CONFIG).is_file()
        and not any(path.glob(f"*/{CONFIG}"))
    ]
    return [path for path in paths if path not in others], others


def load_candidates(paths: Sequence[Path]) -> list[Candidate]:
    configs = [with_schema_types(resume.read_run_config(path), f"{path}/{CONFIG}") for path in paths]
    if len(paths) < 2:
        raise SettingError("a comparison needs two or more runs, such as logs/runs/*")
    places = [path.resolve() for path in paths]
    if again := next((path for place, path in enumerate(paths) if path.resolve() in places[:place]), None):
        raise SettingError(f"{again} is given twice")
    runs = []
    for path, config in zip(places, configs, strict=True):
        plain = OmegaConf.to_container(config, resolve=True)
        assert isinstance(plain, dict)
        run = read_run(SweepFolder(path.parent), path)
        runs.append(replace(run, config={str(name): value for name, value in plain.items()}))
    names = map(printable, run_labels(places))
    return [Candidate(*each) for each in zip(names, paths, configs, runs, strict=True)]


def predictions_of(candidate: Candidate) -> tuple[Predictions | None, str]:
    """The test predictions of a finished run, if it has any, and a note otherwise.

    A run without saved predictions is tested again.
    """
    if not candidate.finished:
        return None, f"{candidate.label} is not finished ({candidate.run.state}), so it has no test result."
    test_set = candidate.run.metrics.get("test_set")
    kept = Predictions.read(candidate.path / PREDICTIONS, str(test_set)) if test_set else None
    if kept is not None:
        return kept, ""
    with lazy_imports.import_torch_stack():
        from labbook.inference.run_config import check_classification

    try:
        check_classification(candidate.config, "a paired test")
    except SettingError as error:
        return None, f"{candidate.label}: {error}."
    try:
        answers = retest(candidate)
    except SettingError as error:
        return None, f"{candidate.label} has no {PREDICTIONS} and could not be tested again: {error}."
    recorded = None if answers.several_classes else candidate.run.metric("test/acc")  # with other thresholds
    apart = recorded is not None and abs(recorded - answers.accuracy) > 1e-6
    own = f"; in its own test it was {recorded:.4f}" if apart else ", the same as in its own test"
    note = f"{candidate.label} has no {PREDICTIONS} and was tested again: accuracy {answers.accuracy:.4f}{own}."
    return answers, note


def retest(candidate: Candidate) -> Predictions:
    """The predictions of the weights that the run itself tested."""
    with lazy_imports.import_torch_stack():
        from labbook.inference.evaluate.evaluate_run import evaluate_run
        from labbook.inference.evaluate.predictions_table import true_and_predicted

    found = evaluate_run(candidate.path, candidate.config, "test")
    if found.matched.left_out:
        raise SettingError(found.matched.notes[0])
    labels, predicted = true_and_predicted(found.outcome, found.names)
    return Predictions.of(found.images, found.outcome.rows, labels, predicted)


STAMP = re.compile(r"^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_(?=.)")  # the start time in the folder's name of a single run


def run_labels(paths: Sequence[Path]) -> list[str]:
    """The names of the folders without the time, with the time, or with their parent folders."""
    whole = [path.absolute() for path in paths]
    stems = [STAMP.sub("", path.name) for path in whole]
    names = [path.name if stems.count(stem) > 1 else stem for path, stem in zip(whole, stems, strict=True)]
    if len(set(names)) == len(names):
        return names
    common = len(os.path.commonprefix([path.parent.parts for path in whole]))  # noqa: RUF071 - it compares parts
    return ["/".join(path.parts[common:]) for path in whole]
