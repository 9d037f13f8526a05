"""Export the network of a run for other programs, with `python scripts/export.py RUN --format onnx`.

RUN is a run folder, which the last line of the training shows. The input is pixels (uint8 0..255, [n, C, H, W]), the
outputs are logits and probabilities. Normalisation and task.tta are included. Examples: docs/export.md.
"""

from pathlib import Path

from labbook import lazy_imports
from labbook.cli.command_line import exit_with_message
from labbook.config import invocation
from labbook.console import print_notes
from labbook.errors import printable
from labbook.inference import calibration
from labbook.inference.export import formats
from labbook.runs import outputs
from labbook.runs.resume import read_run_config
from labbook.runs.run_folder import unfinished_notes
from labbook.sweeps.best_experiment import run_of


@exit_with_message()
def main() -> None:
    parser = invocation.command_parser("export", __doc__)
    parser.add_argument("run", type=Path, help="run folder, or sweep folder (its best run is used)")
    parser.add_argument("--format", choices=formats.FORMATS, required=True)
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: model.onnx, .pt2 or .safetensors in RUN")
    parser.add_argument("--opset", type=int, metavar="N", help="ONNX opset version, 18 to 23 (default: 20)")
    parser.add_argument("--weights", choices=("best", "last"), help="default: the weights that the run tested")
    given = parser.parse_args()
    given.run = run_of(given.run)
    config = read_run_config(given.run)
    formats.check_opset(given.format, given.opset)
    file = formats.export_target(given.run, given.format, given.out)

    with lazy_imports.import_torch_stack():
        from labbook.inference.export.export_model import (
            BATCHES,
            decoding_of_network,
            describe_difference,
            export_run,
            output_names,
            output_shape,
        )
        from labbook.training.capabilities import model_title

    network, apart = export_run(given.run, config, given.format, file, given.weights, given.opset)
    print_notes([*unfinished_notes(given.run), *calibration.calibration_notes(given.run, network.epoch)])
    spec, how = network.spec, decoding_of_network(network)
    with outputs.print_beside_outputs(file):
        inside = f", with task.tta={network.tta}" if network.tta != "none" else ""
        print(f"{model_title(network.model)} after {network.epoch} epochs{inside}")
        print(f"pixels uint8 [n, {spec.channels}, {spec.size}, {spec.size}]"
              f" -> {' and '.join(output_names(network))} float32 {output_shape(network)}")  # fmt: skip
        if not outputs.is_stream(file) and how:
            print(f"to read images for it: {printable(file.with_name(formats.COMPANION))}")
        print(f"batches of {' and '.join(map(str, BATCHES))} differ from PyTorch's: {describe_difference(apart)}")
        print(f"file: {printable(file)}")
