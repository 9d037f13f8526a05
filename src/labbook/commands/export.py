"""Write a run's network to a file for other programs, with `python scripts/export.py RUN --format onnx`.

RUN is the folder that a run named in its last line. The file takes pixels (uint8 0..255, [n, C, H, W]) and gives logits
and probabilities: normalisation and task.tta are in it. docs/export.md shows how it is used.
"""

import sys
from pathlib import Path

from labbook import called, importing, outputs
from labbook.cli import sentences
from labbook.errors import printable
from labbook.export import companion, formats
from labbook.resuming import read_config
from labbook.status import unfinished
from labbook.sweeps.best import run_of


@sentences()
def main() -> None:
    """Write the file, and say how far it is from PyTorch."""
    parser = called.parser("export", __doc__)
    parser.add_argument("run", type=Path, help="folder of a run, or of a sweep for its best run")
    parser.add_argument("--format", choices=formats.FORMATS, required=True)
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: model.onnx and the like in the run's folder")
    parser.add_argument("--opset", type=int, metavar="N", help="version of ONNX' operators, 18 to 23; default: 20")
    parser.add_argument("--weights", choices=("best", "last"), help="default: those that the run itself tested")
    given = parser.parse_args()
    given.run = run_of(given.run)
    config = read_config(given.run)
    formats.check_opset(given.format, given.opset)
    file = formats.target(given.run, given.format, given.out)

    with importing.heavy():  # takes seconds, which a refusal need not wait for
        from labbook.export.writing import BATCHES, export

    network, apart = export(given.run, config, given.format, file, given.weights, given.opset)
    for note in unfinished(given.run):
        print(f"note: {printable(note)}", file=sys.stderr)
    spec, tta = network.spec, network.config.task.tta
    with outputs.printing_beside(file):
        inside = f", task.tta={tta} in it" if tta != "none" else ""
        print(f"{network.model.title} after {network.epoch} epochs{inside}")
        print(f"pixels uint8 [n, {spec.channels}, {spec.size}, {spec.size}]"
              f" -> logits and probabilities float32 [n, {spec.num_classes}]")  # fmt: skip
        if not outputs.is_stream(file):
            print(f"images are read for it by {printable(file.with_name(companion.NAME))}")
        print(f"batches of {' and '.join(map(str, BATCHES))}: logits differ from PyTorch's by {apart.logits:.1g} at"
              f" most, probabilities by {apart.probabilities:.1g}")  # fmt: skip
        print(f"file: {printable(file)}")
