"""The command `labbook`: the same programs as train.py and scripts/, for an installed package."""

import sys
from importlib import import_module
from typing import NoReturn

from labbook.config.invocation import COMMANDS

USAGE = """\
usage: labbook COMMAND ...

{commands}

labbook COMMAND --help says more of each. SETTING=VALUE without a command is that of train.
"""


def main() -> NoReturn:
    """Run the command that is named first; exit code 2 for an unknown one."""
    word = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if word in ("--help", "-h"):
        lines = (f"  {name:<12} {about}" for name, about in COMMANDS.items())
        print(USAGE.format(commands="\n".join(lines)), end="")
        sys.exit(0)
    if word in COMMANDS:
        del sys.argv[1]
    elif "=" in word or word.startswith("-"):  # as in the processes of trainer=ddp, which Lightning starts
        word = "train"
    else:
        print(f"error: labbook {word} is not a command; commands: {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)

    from labbook import starting as starting  # the first thing a program does

    command = import_module(f"labbook.cli.commands.{word.replace('-', '_')}")
    if word == "train":
        command.command()
    elif word == "predict":  # ends without Python's exit, see `command_line.run_program`
        from labbook.cli import command_line

        command_line.run_program(command.main)
    else:
        command.main()
    sys.exit(0)
