"""The module beside an exported file that reads images for it: our own decoding, in one file without the rest of us."""

import ast
import inspect
from pathlib import Path
from types import ModuleType

from labbook.data import decoding, file_metadata, image_formats
from labbook.errors import SettingError, abbreviate, printable
from labbook.inference.export import pixels

NAME = "labbook_pixels.py"
HEAD = '''"""From an image file to the pixels that an exported network takes, as Labbook makes them.

Written by scripts/export.py from Labbook's own code. Needs Python 3.10 or newer, NumPy and Pillow:

    pixels = read_image("IMAGE.jpg", about)

where `about` is what the exported file says of its network.
"""


def missing_package_message(choice: str, _: str) -> str:
    """What to say of a format that Pillow alone does not read."""
    return f"{choice} is not installed: pip install pillow-heif"
'''
PARTS = (printable, file_metadata, image_formats, decoding, pixels)


def check_companion(file: Path) -> None:
    """Refuse to write where a module of somebody else's has the name."""
    there = file.with_name(NAME)
    if there.exists() and not there.read_bytes().startswith(HEAD.encode()[:60]):
        raise SettingError(
            f"{abbreviate(str(there))} was not written by an export, which writes its own there: rename it"
        )


def companion_source() -> str:
    """The whole module."""
    texts = [without_labbook(part) if isinstance(part, ModuleType) else inspect.getsource(part) for part in PARTS]
    return "\n\n".join([HEAD, *texts])


def without_labbook(module: ModuleType) -> str:
    """A module's text without its docstring and what it imports of ours."""
    text = inspect.getsource(module)
    lines = text.splitlines()
    first, *rest = ast.parse(text).body
    left_out = [first, *(node for node in rest if isinstance(node, ast.ImportFrom) and imports_labbook(node))]
    for node in left_out:
        assert node.end_lineno is not None
        lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(lines).strip() + "\n"


def imports_labbook(node: ast.ImportFrom) -> bool:
    """Whether an import is one of Labbook's modules."""
    return (node.module or "").partition(".")[0] == "labbook"
