"""How a program was started: `labbook evaluate`, or the file that does the same. Imports nothing heavy."""

import argparse
import re
import sys
from pathlib import Path

from labbook import installation

# The commands of `labbook`. All but train are also files in scripts/ of a checkout.
COMMANDS = {
    "train": "train a network, or run a sweep (-m); the word train can be left out",
    "evaluate": "test a trained network again, or on other images",
    "predict": "classify images with a trained network",
    "serve": "try a trained network in the browser",
    "compare": "compare runs",
    "report": "write the table and the report of a sweep",
    "export": "write a trained network as ONNX, torch.export or safetensors",
    "draw": "draw a network",
    "find-lr": "propose a learning rate",
    "cache": "list or delete decoded images",
    "new": "create the files of your own model, module, data set, loss or callback",
    "new-project": "create your own project that uses Labbook",
}
PROGRAM = re.compile(r"(?<![\w/.-])(?:python train\.py|(?:python )?scripts/(\w+)\.py)")


def started_as_labbook() -> bool:
    """Whether this process was started as `labbook`."""
    return Path(sys.argv[0]).stem == "labbook"


def program_name(name: str = "train") -> str:
    """The words that start a program in the way this process was started."""
    if not started_as_labbook():
        if name == "train":
            return "python train.py"
        if installation.CHECKOUT:
            return f"python scripts/{name.replace('-', '_')}.py"
    return f"labbook {name}"


def with_program_names(text: str) -> str:
    """A text with program names in the way this process was started."""

    def named(found: re.Match[str]) -> str:
        name = (found[1] or "train").replace("_", "-")
        return program_name(name) if name in COMMANDS else found[0]

    return PROGRAM.sub(named, text)


def command_parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """An argument parser whose help names the command as it was called."""
    return argparse.ArgumentParser(
        prog=program_name(name),
        description=with_program_names(about or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # a misspelt option is an error, as a misspelt setting is
    )
