"""The benchmark's tables on the terminal and as Markdown."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from labbook.errors import SettingError
from labbook.runs.provenance import code_version, library_versions
from labbook.training import hardware
from tools.benchmark.sections import Section

IDLE = 0.5  # the most load of a machine that does nothing else


def show(section: Section) -> None:
    """Print a table."""
    table = Table(*section.columns, title=section.title, title_justify="left", box=None, pad_edge=False)
    for row in section.rows:
        table.add_row(*row)
    console = Console()
    console.print(table)
    if section.note:
        console.print(section.note, style="dim", highlight=False)
    console.print()


def check_system(**valid: str) -> None:
    """Refuse operating systems that lack what a tool measures with; `valid` are names by their `sys.platform`."""
    if sys.platform not in valid:
        tool, names = Path(sys.argv[0]).name, " or ".join(valid.values())
        raise SettingError(f"{tool} works only on {names}, where it can start, watch and measure processes")


def check_load(accepted: bool) -> float | None:
    """The load of the machine: processes that ran or waited for a core in the last minute; None if it is not known.

    Raises:
        SettingError: other programs are running, and this is not `accepted`.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    if load is not None and load > IDLE and not accepted:
        raise SettingError(
            f"the load of this machine is {load:.1f}, and above {IDLE} figures depend on other programs: wait a minute,"
            " or use --busy"
        )
    return load


def conditions(choice: hardware.DeviceChoice, load: float | None, command: str) -> str:
    """What the figures depend on, hardware, load and versions, and how to have them again."""
    busy = (
        "" if load is None else f"; load {load:.1f} before" + (", other programs were running" if load > IDLE else "")
    )
    return f"{machine(choice)}{busy}. Timings are taken in turns, after a first that does not count, by `{command}`."


def machine(choice: hardware.DeviceChoice) -> str:
    """Hardware and versions, with the commit of the code that is measured."""
    versions = f"Labbook {code_version()}, {library_versions()}"
    return f"{choice.reason}; {os.cpu_count()} cores, {torch.get_num_threads()} threads; {versions}"


def rows(section: Section) -> str:
    """A table as Markdown."""
    return "\n".join(
        f"| {' | '.join(row)} |" for row in [section.columns, ("---",) * len(section.columns), *section.rows]
    )


def markdown(sections: Sequence[Section], about: str) -> str:
    """The whole report."""
    parts = ["# Speed measurements", about]
    for section in sections:
        parts += [f"## {section.title}", rows(section), section.note]
    return "\n\n".join(part for part in parts if part) + "\n"
