"""Classify images with the network of a run: `python scripts/predict.py RUN IMAGE ... [SETTING=VALUE ...]`.

RUN is a run folder, which the last line of the training shows. IMAGE is a file, a folder (with its subfolders), or a
pattern such as 'photos/**/*.jpg'. With --test-index, images of the run's test set are classified instead. Settings such
as trainer.precision=32 or, for the test set, data.root=FOLDER replace those of the run.
"""

import argparse
import sys
from pathlib import Path

from labbook import lazy_imports
from labbook.cli.command_line import exit_with_message
from labbook.config import invocation
from labbook.console import print_notes
from labbook.inference import calibration
from labbook.inference.predict.request import PredictionRequest
from labbook.runs import outputs
from labbook.runs.run_folder import unfinished_notes
from labbook.sweeps.best_experiment import run_of


def parse_arguments() -> argparse.Namespace:
    parser = invocation.command_parser("predict", __doc__)
    parser.add_argument("run", type=Path, help="run folder, or sweep folder (its best run is used)")
    parser.add_argument("words", nargs="*", metavar="IMAGE or SETTING=VALUE", help="files, folders, patterns, settings")
    parser.add_argument("--test-index", nargs="+", metavar="N", help="images of the test set; the first is 0")
    parser.add_argument("--top", type=int, default=1, metavar="K", help="the K most probable classes of each image")
    parser.add_argument("--weights", choices=("best", "last"), help="default: the weights that the run tested")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="batch size (default: 64)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table to FILE as CSV")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table to FILE as JSON")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="save a PNG with up to 64 images and their classes")
    parser.add_argument("--figure-images", choices=("first", "least-sure"), default="first", help="default: first")
    parser.add_argument("--cam", action="store_true", help="save a Grad-CAM heat map of each image")
    parser.add_argument(
        "--cam-folder", type=Path, default=Path("cam"), metavar="FOLDER", help="folder of the heat maps (default: cam)"
    )
    parser.add_argument("--cam-layer", metavar="NAME", help="layer of the heat maps (default: see docs/predict.md)")
    return parser.parse_intermixed_args()


@exit_with_message()
def main() -> None:
    given = parse_arguments()
    given.run = run_of(given.run)
    asked = PredictionRequest.of(given)

    with lazy_imports.import_torch_stack():  # takes seconds, which an error need not wait for
        from labbook.inference import grad_cam, trained_model
        from labbook.inference.predict import cam_pictures, classify, output

    network = trained_model.load_trained(given.run, asked.config, given.weights, "predict")
    kind = trained_model.data_type(network.config)
    asked.check(network.spec, (kind.mean, kind.std))
    predictor = classify.Predictor(network, given.top, given.batch_size)
    batches = predictor.files(asked.files.images) if asked.files.images else predictor.test_images(asked.numbers)
    if asked.cams:
        layer = grad_cam.find_layer(network.model, given.cam_layer)
        batches = cam_pictures.write_pictures(network, batches, asked.cams, layer)
    several = network.spec.multilabel
    columns = output.PredictionColumns.of(
        asked.names, network.spec.class_names, given.top, bool(asked.numbers), several
    )
    with outputs.print_beside_outputs(*asked.outputs):
        whole = bool(asked.outputs or asked.cams)
        printed = output.print_predictions(batches, columns, given.figure_images, to_the_end=whole)
        if asked.cams:
            print(f"heat maps: {given.cam_folder}")
    if given.csv:
        outputs.write_output(given.csv, output.predictions_as_csv(printed.predictions, given.top, asked.known, several))
    if given.json:
        outputs.write_output(given.json, output.predictions_as_json(printed.predictions))
    if given.figure and printed.predictions:
        title = f"{network.model.title} of {given.run.name}"
        output.write_contact_sheet(printed, title, network.spec.class_names, given.figure)
    known = [*unfinished_notes(given.run), *calibration.calibration_notes(given.run, network.epoch)]
    print_notes([*known, *output.prediction_notes(printed, asked.files.others, given.figure)])
    if printed.problems:
        sys.exit(1)
