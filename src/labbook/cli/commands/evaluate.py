"""Test the network of a run again, with `python scripts/evaluate.py RUN [data=NAME ...] [SETTING=VALUE ...]`.

RUN is a run folder, which the last line of the training shows. Settings such as data.root=FOLDER or
trainer.precision=32 replace those of the run. data=NAME tests on another data set, with its own settings
(data=cifar10_jpeg data.root=FOLDER). Its images get the size, colours and normalisation of the training, and its
classes are matched by name. Metrics and plots are saved in RUN/evaluation.
"""

from collections.abc import Sequence
from pathlib import Path

from labbook import lazy_imports
from labbook.cli.command_line import exit_with_message
from labbook.config import invocation
from labbook.config.path_rules import check_local_path, check_symlinks
from labbook.console import print_notes
from labbook.errors import SettingError
from labbook.files import make_folder
from labbook.inference.evaluate import other_dataset
from labbook.runs import outputs
from labbook.runs.resume import read_run_config
from labbook.runs.run_folder import unfinished_notes
from labbook.sweeps.best_experiment import run_of


@exit_with_message()
def main() -> None:
    parser = invocation.command_parser("evaluate", __doc__)
    parser.add_argument("run", type=Path, help="run folder, or sweep folder (its best run is used)")
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE", help="settings to change")
    parser.add_argument("--weights", choices=("best", "last"), help="default: the weights that the run tested")
    parser.add_argument("--split", choices=("test", "val", "train"), default="test")
    parser.add_argument("--all", action="store_true", help="show all classes, also if there are more than 20")
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="fit a temperature to the validation images, which predict, export and serve use; see docs/compare.md",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder of metrics and plots; default: RUN/evaluation"
    )
    given = parser.parse_intermixed_args()
    given.run = run_of(given.run)
    asked = other_dataset.evaluation_request(read_run_config(given.run), given.settings)
    check_local_path("--out", given.out or given.run)
    if given.calibrate:
        check_symlinks(given.run)
        check_calibration(given.split, asked.name, given.settings)
    if given.out == outputs.STANDARD_OUTPUT:
        raise SettingError("--out - is standard output: give a folder")
    if not given.out:
        check_symlinks(given.run)
    else:
        outputs.check_outputs({"--out": given.out / "confusion_matrix.png"})  # such as a run's metrics
        make_folder(given.out)

    with lazy_imports.import_torch_stack():  # takes seconds, which an error need not wait for
        from labbook.inference import run_config
        from labbook.inference.evaluate import calibrate, class_metrics, evaluate_run, output_files

    own = not asked.name
    settings = (*given.settings, *([f"weights={given.weights}"] if given.weights else []))
    folder = given.out or given.run / output_files.FOLDER
    config = run_config.complete_run_config(given.run, asked.config)
    fit = None
    if given.calibrate:
        run_config.check_classification(config, "--calibrate")
        fit = calibrate.fit_on_validation(given.run, config, given.weights)
    if not run_config.is_classification_run(config):
        result = evaluate_run.evaluate_module(given.run, config, given.split, given.weights, asked.data)
        print_notes([*unfinished_notes(given.run), *result.notes])
        description = output_files.EvaluationDescription(given.run, "test", asked.name, settings)
        output_files.write_logged_test(description, result, folder)
        output_files.print_logged_test(result, given.all)
        print(f"evaluation: {folder}")
        return
    kept = calibrate.LogitCollector()
    callbacks = [kept] if fit else []
    found = evaluate_run.evaluate_run(given.run, config, given.split, given.weights, asked.data, own, callbacks)
    tested = output_files.EvaluationDescription.of(given.run, given.split, asked.name, settings, found)
    tested = tested.beside(folder, found.images)
    about = [] if own else found.data.notes
    print_notes([*about, *unfinished_notes(given.run), *tested.notes, *found.overlap_notes])
    judged = class_metrics.evaluation_report(found.outcome, found.names)
    output_files.write_test(tested, found, judged, folder)
    class_metrics.print_report(judged, given.split, given.all)
    calibrated = calibrate.write_calibration(given.run, fit, kept, found.data.spec) if fit else []
    for line in [*found.matched.notes, *calibrated]:
        print(line)
    print(f"evaluation: {folder}")


def check_calibration(split: str, other: str, settings: Sequence[str]) -> None:
    """Refuse a calibration on other images, or of another network, than those of the run."""
    if split != "test":
        raise SettingError(
            f"--calibrate is fitted to validation images and measured on the test: leave out --split {split}"
        )
    changed = [word for word in settings if not word.startswith(("trainer.", "data.root=", "data.cache_dir="))]
    if other or changed:
        raise SettingError(f"--calibrate is for the run as it is: leave out {changed[0]}")
