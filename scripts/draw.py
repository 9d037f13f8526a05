"""Draw a network: `python scripts/draw.py [NAME] [SETTING=VALUE ...] [--figure FILE]`, such as lenet5 data=mnist.

The settings are those of train.py; the images' shape is taken from the data, which are not read (of a folder of
photographs, which classes it has). Needs Graphviz.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first

import argparse

from labbook import importing
from labbook.cli import sentences
from labbook.composing import composed
from labbook.errors import SettingError
from labbook.files import make_folder, write_whole


@sentences()
def main() -> None:
    """Write the picture and say where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "settings", nargs="*", metavar="NAME or SETTING=VALUE", help="NAME: of a network, as model=NAME"
    )
    parser.add_argument("--figure", type=Path, metavar="FILE", help="*.svg, *.png, *.pdf or *.gv; default: MODEL.svg")
    parser.add_argument("--depth", type=int, help="of what is drawn in parts; default: what fits a page")
    given = parser.parse_intermixed_args()
    if given.depth is not None and given.depth < 1:
        raise SettingError("--depth must be at least 1")
    settings = [word if "=" in word else f"model={word}" for word in given.settings]
    names = [word.partition("=")[2] for word in settings if word.startswith("model=")]
    if len(names) > 1:
        raise SettingError(f"{', '.join(names)}: a drawing is of one network")
    config = composed(*settings)

    with importing.heavy():  # takes seconds, which a refusal need not wait for
        from labbook import training
        from labbook.zoo.drawing import draw
        from labbook.zoo.hollow import seen

    training.check(config)
    file = given.figure or Path(f"{config.choices.model}.svg")
    kind = file.suffix.removeprefix(".")
    picture = seen(config, training.build_data(config), lambda model: draw(model, kind, given.depth))
    make_folder(file.parent)
    write_whole(file, picture)
    print(f"drawing: {file}")


if __name__ == "__main__":
    main()
