"""Which formats there are, and where a file of one goes. Imports no torch."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from labbook.config.path_rules import check_symlinks
from labbook.errors import SettingError, missing_package_message
from labbook.inference.export import companion
from labbook.runs import outputs


@dataclass(frozen=True)
class Format:
    """What one must know of a format before a network is read; the module of its name writes and reads it."""

    suffix: str
    packages: tuple[str, ...] = ()  # of the extra `export`


OPSETS = range(18, 24)  # versions of ONNX' operators that torch writes

FORMATS = {
    "onnx": Format(".onnx", ("onnx", "onnxruntime", "onnxscript")),
    "torch_export": Format(".pt2"),
    "safetensors": Format(".safetensors", ("safetensors",)),
}


def check_opset(name: str, opset: int | None) -> None:
    """Refuse a version of ONNX' operators that a format does not have."""
    if opset is None:
        return
    if name != "onnx":
        raise SettingError(f"--opset={opset} is only for --format=onnx, not for --format={name}")
    if opset not in OPSETS:
        raise SettingError(f"--opset={opset} must be from {OPSETS[0]} to {OPSETS[-1]}")


def export_target(run: Path, name: str, out: Path | None) -> Path:
    """The file to write: `out`, or in the run's folder.

    Raises:
        SettingError: it cannot be written, or the format's packages are not there.
    """
    form = FORMATS[name]
    if not all(map(find_spec, form.packages)):
        raise SettingError(missing_package_message(f"--format={name}", "export"))
    file = out or run / f"model{form.suffix}"
    outputs.check_outputs({"--out": file})
    if out is None:
        check_symlinks(run, [file])
    if outputs.is_stream(file):
        return file
    companion.check_companion(file)
    if file.suffix != form.suffix:
        raise SettingError(f"--out={file} must end in {form.suffix}, as files of --format={name} do")
    if not file.parent.is_dir():
        raise SettingError(f"--out={file}: there is no folder {file.parent}")
    return file
