"""Create your own project that uses Labbook, with `python scripts/new_project.py FOLDER`, such as ../mylab.

It has the structure of Labbook: train.py, configs/, src/mylab/, tests/ and logs/. A file in its configs/ replaces the
file of the same name in Labbook, which is a dependency. `make train` and `make test` install everything first.
"""

from importlib.util import find_spec
from pathlib import Path

from labbook.cli.command_line import exit_with_message
from labbook.cli.commands.new import SKELETONS, check_word, fill_skeleton, render_files
from labbook.config import invocation
from labbook.errors import SettingError
from labbook.files import make_folder, write_whole
from labbook.installation import DISTRIBUTION, install_origin

EXAMPLES = {"model": "my_net", "data": "my_set"}
PROJECT = SKELETONS / "project"


def project_files(name: str) -> dict[str, str]:
    words = {
        "name": name,
        "labbook": install_origin().replace("$", "$$").replace("#", "\\#"),
        "distribution": DISTRIBUTION,
        **EXAMPLES,
    }
    found = {"logs/.gitkeep": "", f"src/{name}/__init__.py": f'"""The package of {name}."""\n'}
    for skeleton in sorted(PROJECT.rglob("*.j2")):
        path = skeleton.relative_to(PROJECT).with_suffix("").as_posix()
        found[path] = fill_skeleton(f"project/{path}", words)
    for kind, example in EXAMPLES.items():
        found |= render_files(kind, example, name)
    return found


def package_name_of(folder: Path) -> str:
    name = folder.name.replace("-", "_")
    check_word(name, "../mylab")
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise SettingError(f"NAME={folder} exists: use the name of a new folder")
    if name in ("configs", "scripts", "tests", "train") or find_spec(name) is not None:
        raise SettingError(f"NAME={folder} would create a package {name}, which exists already: use another name")
    return name


@exit_with_message()
def main() -> None:
    parser = invocation.command_parser("new-project", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="to create; its name is that of the package")
    folder = Path.cwd() / parser.parse_args().folder
    folder = folder.parent.resolve() / folder.name
    for path, text in project_files(package_name_of(folder)).items():
        make_folder((folder / path).parent)
        write_whole(folder / path, text)
    print(f"made: {folder}")
    print(f"try it: cd {folder} && make train")
