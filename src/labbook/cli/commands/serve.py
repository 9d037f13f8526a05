"""Try the network of a run in the browser: `python scripts/serve.py RUN [SETTING=VALUE ...]`.

Serves a page for browsers on this machine only. Upload or draw an image: the page shows the prediction and the pixels
that were important for it. RUN is a run folder, which the last line of the training shows. Settings such as
trainer.accelerator=cpu or data.root=FOLDER (of the test images) replace those of the run.
"""

from pathlib import Path

from labbook import lazy_imports
from labbook.cli.command_line import exit_with_message
from labbook.config import invocation
from labbook.inference.serve import server
from labbook.runs.resume import read_run_config, with_settings
from labbook.sweeps.best_experiment import run_of


@exit_with_message()
def main() -> None:
    parser = invocation.command_parser("serve", __doc__)
    parser.add_argument("run", type=Path, help="run folder, or sweep folder (its best run is used)")
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE", help="settings to change")
    parser.add_argument(
        "--port", type=int, default=server.PORT, metavar="N", help="default: %(default)s; 0: any free port"
    )
    parser.add_argument("--weights", choices=("best", "last"), help="default: the weights that the run tested")
    arguments = parser.parse_intermixed_args()
    arguments.run = run_of(arguments.run)
    config = with_settings(read_run_config(arguments.run), arguments.settings)
    with server.listen(arguments.port) as listener, server.private_gradio():
        with lazy_imports.import_torch_stack():  # takes seconds, which an error need not wait for
            from labbook.inference import trained_model
        network = trained_model.load_trained(arguments.run, config, arguments.weights, "serve")
        server.serve(network, listener)
