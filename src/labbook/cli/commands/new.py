"""Create a Python file and a YAML file for your own code, with `python scripts/new.py model NAME`.

model: only layers, trained by Labbook. module: a LightningModule with its own training_step. data: a data set. loss: a
loss. callback: a Lightning callback. The files work unchanged, and the tests cover them: edit them.
They are written into the package of the project in the current folder; `python scripts/new_project.py` creates one.
"""

import keyword
import re
import sys
from pathlib import Path

import jinja2
import yaml

from labbook.cli.command_line import exit_with_message
from labbook.config import invocation, own_code
from labbook.config.path_rules import check_name
from labbook.errors import SettingError, abbreviate
from labbook.files import make_folder, write_whole
from labbook.installation import CHECKOUT

SKELETONS = Path(__file__).parent / "skeletons"
KINDS = {  # files: the group they are a choice of, and their folder in the package
    "model": ("model", "models"),
    "module": ("model", "models"),
    "data": ("data", "data"),
    "loss": ("loss", "losses"),
    "callback": ("callbacks", "callbacks"),
}
LONGEST = 40  # letters
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def project_package() -> tuple[Path, str]:
    """The folder of the project that the program runs for, and its package; for a checkout, `labbook`."""
    root = own_code.project_root()
    if root is None:
        raise SettingError(
            f"{Path.cwd()} is not a project: {invocation.program_name('new-project')} FOLDER creates one"
        )
    for name in ("labbook",) if root == CHECKOUT else own_code.own_packages(root):
        if (root / "src" / name).is_dir():
            return root, name
    raise SettingError(f"{root / 'src'} has no package: create a folder with an __init__.py there")


def render_files(kind: str, name: str, package: str = "labbook") -> dict[str, str]:
    group, folder = KINDS[kind]
    if package == "labbook" and kind == "loss":
        folder = f"training/{folder}"
    module = f"{package}.{folder.replace('/', '.')}.{name}"
    words = {"name": name, "class": class_name_of(name), "package": package, "module": module}
    paths = (f"src/{package}/{folder}/{name}.py", f"configs/{group}/{name}.yaml")
    return {path: fill_skeleton(f"{kind}{Path(path).suffix}", words) for path in paths}


def fill_skeleton(skeleton: str, words: dict[str, str]) -> str:
    text = (SKELETONS / f"{skeleton}.j2").read_text(encoding="utf-8")
    rendering: str = jinja2.Template(text, undefined=jinja2.StrictUndefined).render(words)
    return rendering + "\n"


def class_name_of(name: str) -> str:
    """The name of the class: MyNet for my_net."""
    return "".join(part.capitalize() for part in name.split("_"))


def check_word(name: str, example: str) -> None:
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise SettingError(
            f"NAME={abbreviate(name)} must have lower-case letters, digits and single '_' between them, begin with a"
            f" letter and have at most {LONGEST} characters, such as NAME={example}"
        )
    check_name("NAME", name)
    if keyword.iskeyword(name):
        raise SettingError(f"NAME={name} is a keyword of Python: use another name")


def new_files(kind: str, name: str, root: Path, package: str) -> dict[str, str]:
    """The files of `render_files`; refuses a name that cannot be a module and a choice, or is in use."""
    group, _ = KINDS[kind]
    check_word(name, f"my_{({'model': 'net', 'module': 'net', 'data': 'set'}).get(kind, kind)}")
    files = render_files(kind, name, package)
    if not isinstance(yaml.safe_load(name), str) or name in ("inf", "nan"):
        raise SettingError(f"NAME={name} is not a text for Hydra, so {group}={name} would not work: use another name")
    for there in (path for file in map(Path, files) for path in (file, file.with_suffix(""))):  # a file, or a package
        if (root / there).exists():
            raise SettingError(f"NAME={name} is taken: {there} exists")
    if name in sys.stdlib_module_names:
        raise SettingError(f"NAME={name} is a module of Python: use another name")
    made = class_name_of(name)
    if re.search(rf"\bimport .*\b{made}\b", next(iter(files.values()))):
        raise SettingError(f"NAME={name} would name a class {made}, which its file imports: use another name")
    return files


@exit_with_message()
def main() -> None:
    parser = invocation.command_parser("new", __doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("name", metavar="NAME", help="of the files and the option: my_net; the class is MyNet")
    given = parser.parse_args()
    root, package = project_package()
    for path, text in new_files(given.kind, given.name, root, package).items():
        make_folder((root / path).parent)
        write_whole(root / path, text)
        print(f"made: {path}")
    print(f"try it: make train ARGS='{KINDS[given.kind][0]}={given.name} epochs=1'")
    print(f"test it: make test ARGS='-k {given.name}'")
