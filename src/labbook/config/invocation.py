"""How a program was started: `labbook evaluate`, the file that does the same, or Python. Imports nothing heavy."""

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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

# Advice in messages, which is for the command line, and what other callers read instead.
ADVICE: dict[str, dict[str, str]] = {
    r"\badd -m(?: to sweep over them| for a sweep)?": {
        "find-lr": "find-lr tests one run",
        "Python": "use sweep(...)",
    },
    r", or with -m each of (\S+)": {"find-lr": "", "Python": r", or sweep(...) over \1"},
    r"^-m\b": {"Python": "sweep(...)"},
    r"--(top|batch-size|split|weights)[ =]": {"Python": r"\1="},
}
CALLER = ContextVar("CALLER", default="the command line")


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


@contextmanager
def called_by(caller: str) -> Iterator[None]:
    """Within this context, messages are for a caller that `ADVICE` names."""
    before = CALLER.set(caller)
    try:
        yield
    finally:
        CALLER.reset(before)


def for_caller(text: str) -> str:
    """A text with program names in the way this process was started, and with the caller's `ADVICE`."""

    def named(found: re.Match[str]) -> str:
        name = (found[1] or "train").replace("_", "-")
        return program_name(name) if name in COMMANDS else found[0]

    text = PROGRAM.sub(named, text)
    for words, instead in ADVICE.items():
        text = re.sub(words, instead.get(CALLER.get(), r"\g<0>"), text)
    return text


def command_parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """An argument parser whose help names the command as it was called."""
    return argparse.ArgumentParser(
        prog=program_name(name),
        description=for_caller(about or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # a misspelt option is an error, as a misspelt setting is
    )
