"""Draw a network: `python scripts/draw.py [NAME or RUN] [SETTING=VALUE ...] [--figure FILE]`.

Settings are those of train.py. The image size is that of the data set, whose images are not read (of an image folder,
only the class names are). With RUN, the network of this run is drawn. Needs Graphviz.
"""

from pathlib import Path

from omegaconf import DictConfig

from labbook import lazy_imports
from labbook.cli.command_line import exit_with_message
from labbook.config import invocation
from labbook.config.compose import compose_config
from labbook.config.schema import with_schema_types
from labbook.errors import SettingError
from labbook.runs import outputs
from labbook.runs.resume import read_run_config, with_settings


def drawing_config(words: list[str]) -> DictConfig:
    """The configuration of the words of a command line: of a run, or a new one."""
    settings = [word for word in words if "=" in word]
    names = [word for word in words if "=" not in word]
    models = [word.partition("=")[2] for word in settings if word.startswith("model=")]
    if len(names + models) > 1:
        raise SettingError(f"{', '.join(names + models)}: only one network can be drawn")
    if names and (len(Path(names[0]).parts) > 1 or Path(names[0]).is_dir()):
        return with_schema_types(with_settings(read_run_config(Path(names[0])), settings), f"{names[0]}/config.yaml")
    return compose_config(*settings, *(f"model={name}" for name in names))


@exit_with_message()
def main() -> None:
    parser = invocation.command_parser("draw", __doc__)
    parser.add_argument(
        "settings", nargs="*", metavar="NAME, RUN or SETTING=VALUE", help="NAME is a network, as in model=NAME"
    )
    parser.add_argument("--figure", type=Path, metavar="FILE", help="*.svg, *.png, *.pdf or *.gv (default: MODEL.svg)")
    parser.add_argument("--depth", type=int, help="number of nested levels to draw (default: as many as fit on a page)")
    given = parser.parse_intermixed_args()
    if given.depth is not None and given.depth < 1:
        raise SettingError("--depth must be at least 1")
    outputs.check_outputs({"--figure": given.figure})
    config = drawing_config(given.settings)

    with lazy_imports.import_torch_stack():  # takes seconds, which an error need not wait for
        from labbook import experiment
        from labbook.models.drawing import draw_model

    experiment.check_experiment(config)
    file = given.figure or Path(f"{config.config_groups.model}.svg")
    kind = file.suffix.removeprefix(".") or ("svg" if outputs.is_stream(file) else "")
    picture = experiment.on_meta_device(
        config, experiment.build_new_data(config), lambda model: draw_model(model, kind, given.depth)
    )
    outputs.write_output(file, picture)
    with outputs.print_beside_outputs(file):
        print(f"drawing: {file}")
