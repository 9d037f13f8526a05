"""A sweep's folder: how it is known as one, and how far each of its runs has come."""

import hashlib
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from labbook import __file__ as package
from labbook.errors import SettingError
from labbook.runs import CONFIG, METRICS, read_metrics, write_whole
from labbook.sweeps import claims

MARK, INDEX = "sweep.json", ".index.json"
FINAL = ("finished", "pruned")  # nothing is left to do

State = Literal["new", "running", "interrupted", "failed", "finished", "pruned", "damaged"]


@dataclass(frozen=True)
class SweepFolder:
    """The folder of one sweep, in which each run has a folder of its own."""

    path: Path

    def state(self, name: str) -> tuple[State, dict[str, Any]]:
        """How far a run has come, and its metrics.json."""
        folder = self.path / name
        metrics = read_metrics(folder)
        status = metrics.get("status")
        if status in FINAL and not _figure(metrics.get("objective")):
            return "damaged", metrics
        if status in (*FINAL, "failed", "interrupted"):
            return status, metrics
        if status == "running":  # a killed run says so too
            return ("running" if claims.holder(self.path, name) else "interrupted"), metrics
        return ("damaged" if (folder / METRICS).exists() else "new"), metrics

    def runs(self) -> list[str]:
        """The names of all run folders that are there."""
        files = [*self.path.glob(f"[!.]*/{CONFIG}"), *self.path.glob(f"[!.]*/{METRICS}")]
        return sorted({file.parent.name for file in files})

    def check(self) -> None:
        """Refuse a folder that something else made.

        Raises:
            SettingError: there is one of this name.
        """
        if self.path.exists() and read_mark(self.path) is None and any(self.path.glob("[!.]*")):
            raise SettingError(
                f"{self.path} is there already and was not made by a sweep: choose another sweep.name=NAME"
            )

    def open(self, over: list[str], objective: str) -> None:
        """Make the folder, or add this command to those that made it.

        Raises:
            SettingError: it cannot be made.
        """
        mark = read_mark(self.path) or {"made_by": "labbook", "over": [], "commands": []}
        command = " ".join(["python", Path(sys.argv[0]).name, *sys.argv[1:]])
        mark["over"] = list(dict.fromkeys([*mark["over"], *over]))
        mark["commands"] = [*(item for item in mark["commands"] if item != command), command]
        mark["objective"] = objective
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(self.path / MARK, json.dumps(mark, indent=2) + "\n")
        except OSError as error:
            raise SettingError(
                f"cannot write to {self.path} ({error.strerror}): name another place with log_dir=FOLDER"
            ) from error

    def set_aside(self, log_dir: Path, name: str | None = None) -> Path:
        """Move a run, or the whole sweep, to log_dir/replaced, where nothing looks for it any more.

        Raises:
            SettingError: somebody is at work in the sweep.
        """
        if name is None and (busy := claims.held(self.path)):
            who = ", ".join(f"{run} by {holder}" for run, holder in busy.items())
            raise SettingError(f"sweep.rerun=true would move what is being worked on: {who}")
        date = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        source = self.path / (name or "")
        target = (
            log_dir / "replaced" / self.path.name / f"{name}_{date}"
            if name
            else log_dir / "replaced" / (f"{self.path.name}_{date}")
        )
        while target.exists():
            target = target.with_name(target.name + "_")
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        return target


def read_mark(path: Path) -> dict[str, Any] | None:
    """What a sweep wrote of itself; None for a folder that is none."""
    try:
        content = json.loads((path / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("made_by") == "labbook" else None


class Index:
    """Which run a job's overrides lead to, remembered so that finished ones need not be composed again.

    What is remembered holds for one state of the configuration's files and of the package.
    """

    def __init__(self, sweep: Path, roots: Iterable[Path]) -> None:
        self.file = sweep / INDEX
        self.state = fingerprint([*roots, Path(package).parent])
        self.names: dict[str, str] = {}
        try:
            content = json.loads(self.file.read_text(encoding="utf-8"))
            self.names = dict(content["names"]) if content["state"] == self.state else {}
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self._saved = len(self.names)

    def save(self) -> None:
        """Write what was learned."""
        if len(self.names) > self._saved:
            write_whole(self.file, json.dumps({"state": self.state, "names": self.names}))
            self._saved = len(self.names)


def fingerprint(roots: Iterable[Path]) -> str:
    """A hash of all configuration files under some folders, and of the Python files that lie directly in them."""
    digest = hashlib.sha256()
    for root in roots:
        for path in sorted([*root.rglob("*.yaml"), *root.glob("*.py")]):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(root)} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
