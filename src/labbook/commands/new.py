"""The two files of a network or a data set of your own, with `python scripts/new.py model NAME` or `data NAME`.

They work as they are, and the tests cover them: put your layers, or your images, in the place of those there.
"""

import keyword
import re
import sys
from pathlib import Path

import jinja2
import yaml

from labbook import called
from labbook.cli import CONFIGS, sentences
from labbook.errors import SettingError
from labbook.files import write_whole
from labbook.names import check_name, shown

ROOT = CONFIGS.parent
SKELETONS = Path(__file__).parent / "skeletons"
PACKAGES = {"model": "models", "data": "data"}  # of the groups

LONGEST = 40  # letters
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def rendered(group: str, name: str) -> dict[str, str]:
    """The files, by their paths below the project's folder."""
    words = {"name": name, "class": class_of(name)}
    return {
        path: jinja2.Template((SKELETONS / f"{group}{Path(path).suffix}.j2").read_text(encoding="utf-8")).render(words)
        + "\n"
        for path in (f"src/labbook/{PACKAGES[group]}/{name}.py", f"configs/{group}/{name}.yaml")
    }


def class_of(name: str) -> str:
    """The name of the class: MyNet for my_net."""
    return "".join(part.capitalize() for part in name.split("_"))


def check(group: str, name: str, root: Path = ROOT) -> None:
    """Refuse what cannot be the name of a module and of a choice, or stands for something already.

    Raises:
        SettingError: naming it.
    """
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise SettingError(
            f"NAME={shown(name)} must be of small letters, digits and single '_' between them, begin with a letter and"
            f" have at most {LONGEST}, as in NAME=my_{'net' if group == 'model' else 'set'}"
        )
    check_name("NAME", name)
    if keyword.iskeyword(name):
        raise SettingError(f"NAME={name} is a word of Python's own: choose another name")
    if not isinstance(yaml.safe_load(name), str) or name in ("inf", "nan"):
        raise SettingError(f"NAME={name} is no text to Hydra, which could not choose {group}={name}: choose another")
    for path in rendered(group, name):
        file = root / path
        for there in (file, file.with_suffix("")):  # the file, or a package
            if there.exists():
                raise SettingError(f"NAME={name} is taken: there is {there.relative_to(root)}")
    if name in sys.stdlib_module_names:
        raise SettingError(f"NAME={name} is a module of Python's own, which it would be taken for: choose another name")
    source = next(iter(rendered(group, name).values()))
    if re.search(rf"\bimport .*\b{class_of(name)}\b", source):
        raise SettingError(f"NAME={name} would make a class {class_of(name)}, and its file imports one: choose another")


@sentences()
def main() -> None:
    """Make the files, and say what to do with them."""
    parser = called.parser("new", __doc__)
    parser.add_argument("group", choices=PACKAGES)
    parser.add_argument("name", metavar="NAME", help="as in my_net: of file and choice, and of the class MyNet")
    given = parser.parse_args()
    check(given.group, given.name)
    for path, text in rendered(given.group, given.name).items():
        write_whole(ROOT / path, text)
        print(f"made: {path}")
    print(f"try it: python train.py {given.group}={given.name} epochs=1")
    print(f"test it: make test ARGS='-k {given.name}'")
