"""Export formats, the file to write, and the module beside it that reads images for it. Imports no torch."""

import ast
import inspect
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from labbook.config.path_rules import check_symlinks
from labbook.data import decoding, file_metadata, image_depth, image_formats
from labbook.errors import SettingError, abbreviate, missing_package_message, printable
from labbook.inference.export import pixels
from labbook.runs import outputs

OPSETS = range(18, 24)  # versions of ONNX' operators that torch writes
FORMATS = {"onnx": ".onnx", "torch_export": ".pt2", "safetensors": ".safetensors"}  # the endings of their files
PACKAGES = {"onnx": ("onnx", "onnxruntime", "onnxscript"), "safetensors": ("safetensors",)}  # of the extra `export`


def check_opset(name: str, opset: int | None) -> None:
    if opset is None:
        return
    if name != "onnx":
        raise SettingError(f"--opset={opset} is only for --format=onnx, not for --format={name}")
    if opset not in OPSETS:
        raise SettingError(f"--opset={opset} must be from {OPSETS[0]} to {OPSETS[-1]}")


def export_target(run: Path, name: str, out: Path | None) -> Path:
    """The file to write: `out`, or a file in the run folder. Checks that it can be written."""
    if not all(map(find_spec, PACKAGES.get(name, ()))):
        raise SettingError(missing_package_message(f"--format={name}", "export"))
    file = out or run / f"model{FORMATS[name]}"
    outputs.check_outputs({"--out": file})
    if out is None:
        check_symlinks(run, [file])
    if outputs.is_stream(file):
        return file
    check_companion(file)
    if file.suffix != FORMATS[name]:
        raise SettingError(f"--out={file} must end in {FORMATS[name]}, as files of --format={name} do")
    if not file.parent.is_dir():
        raise SettingError(f"--out={file}: there is no folder {file.parent}")
    return file


# The module that reads images ---------------------------------------------------------------------------------------

COMPANION = "labbook_pixels.py"
HEAD = '''"""From an image file to the pixels that an exported network takes, as Labbook makes them.

Written by scripts/export.py from Labbook's own code. Needs Python 3.10 or newer, NumPy and Pillow:

    pixels = read_image("IMAGE.jpg", about)

where `about` is what the exported file says of its network.
"""


def missing_package_message(choice: str, _: str) -> str:
    """What to say of a format that Pillow alone does not read."""
    return f"{choice} is not installed: pip install pillow-heif"
'''
PARTS = (printable, file_metadata, image_depth, image_formats, decoding, pixels)


def check_companion(file: Path) -> None:
    """Do not replace a module of that name that the user wrote."""
    there = file.with_name(COMPANION)
    if there.exists() and not there.read_bytes().startswith(HEAD.encode()[:60]):
        raise SettingError(
            f"{abbreviate(str(there))} was not written by an export, which writes its own there: rename it"
        )


def companion_source() -> str:
    """The source of the module: parts of Labbook in one file that needs no Labbook."""
    texts = [without_labbook(part) if isinstance(part, ModuleType) else inspect.getsource(part) for part in PARTS]
    return "\n\n".join([HEAD, *texts])


def without_labbook(module: ModuleType) -> str:
    """The source of a module without its docstring and its imports of Labbook."""
    text = inspect.getsource(module)
    lines = text.splitlines()
    first, *rest = ast.parse(text).body
    imports = (node for node in rest if isinstance(node, ast.ImportFrom))
    left_out = [first, *(node for node in imports if (node.module or "").startswith("labbook"))]
    for node in left_out:
        assert node.end_lineno is not None
        lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(lines).strip() + "\n"
