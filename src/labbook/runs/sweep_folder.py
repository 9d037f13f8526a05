"""A sweep's folder and its runs."""

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from labbook.config import renames
from labbook.config.path_rules import NAME, check_symlinks
from labbook.errors import SettingError
from labbook.files import read_json, write_whole
from labbook.runs import locks
from labbook.runs.provenance import code_folder, code_version, digest_files, source_files, typed_command
from labbook.runs.run_folder import CONFIG, METRICS, State, state_of

STUDY = "labbook"  # the name of a search in its storage
MANIFEST, INDEX = "sweep.json", ".index.json"


@dataclass(frozen=True)
class SweepFolder:
    """The folder of one sweep, with a folder for each run."""

    path: Path

    def state(self, name: str) -> tuple[State, dict[str, Any]]:
        return state_of(self.path / name)

    def runs(self) -> list[str]:
        files = [*self.path.glob(f"[!.]*/{CONFIG}"), *self.path.glob(f"[!.]*/{METRICS}")]
        return sorted({file.parent.name for file in files})

    def check(self) -> None:
        check_symlinks(self.path, (self.path / locks.CLAIMS, self.path / "experiment"))
        if self.path.exists() and read_manifest(self.path) is None and any(self.path.glob("[!.]*")) and not self.runs():
            raise SettingError(f"{self.path} exists and was not created by a sweep: use another sweep.name=NAME")

    def by_identity(self) -> dict[str, str]:
        return {name.rpartition("-")[2]: name for name in self.runs() if NAME.fullmatch(name)}

    def begin(self, over: list[str], objective: str, mode: str = "auto") -> None:
        self.check()
        command = typed_command()
        try:
            with self._manifest() as manifest:
                manifest["over"] = list(dict.fromkeys([*manifest["over"], *over]))
                manifest["commands"] = [*(item for item in manifest["commands"] if item != command), command]
                manifest |= {"objective": objective, "objective_mode": mode, "code_version": code_version()}
        except OSError as error:
            raise SettingError(
                f"cannot write to {self.path} ({error.strerror}): use another folder with log_dir=FOLDER"
            ) from error

    def plan(self, names: Iterable[str]) -> None:
        """Note the planned runs, for a report while the sweep runs."""
        with self._manifest() as manifest:
            identities = (name.rpartition("-")[2] for name in names)
            manifest["planned"] = list(dict.fromkeys([*manifest.get("planned", []), *identities]))

    @contextmanager
    def _manifest(self) -> Iterator[dict[str, Any]]:
        """The content of the manifest, which is written afterwards; other processes wait."""
        with locks.run_lock(self.path, "manifest", patience=30):
            manifest = read_manifest(self.path) or {"made_by": "labbook", "over": [], "commands": []}
            yield manifest
            write_whole(self.path / MANIFEST, json.dumps(manifest, indent=2) + "\n")

    def set_run_aside(self, name: str, log_dir: Path) -> Path:
        return move_aside(self.path / name, log_dir / "replaced" / self.path.name / name)

    def set_aside(self, log_dir: Path) -> Path:
        self.check()
        if busy := locks.held_locks(self.path):
            raise SettingError(f"sweep.rerun=true would move runs that are in use by {', '.join(busy.values())}")
        return move_aside(self.path, log_dir / "replaced" / self.path.name)


def move_aside(source: Path, target: Path) -> Path:
    """Move a folder; the time in its name distinguishes it from others."""
    date = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    target = target.with_name(f"{target.name}_{date}")
    while target.exists():
        target = target.with_name(f"{target.name}_")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)
    return target


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The content of a sweep's manifest; None for another folder."""
    content = read_json(path / MANIFEST)
    if content.get("made_by") != "labbook":
        return None
    over = content.get("over")
    renamed = {"over": [renames.current_name(str(name)) for name in over]} if isinstance(over, list) else {}
    return content | renamed


class IdentityIndex:
    """Run ID of a job's overrides, cached so that it need not be composed again.

    The cache is valid for one state of the configuration files and the code.
    """

    def __init__(self, sweep: Path, roots: Iterable[Path], code: Path | None = None) -> None:
        self.file = sweep / INDEX
        self.state = settings_fingerprint(roots, code or code_folder())
        self.identities: dict[str, str] = {}
        content = read_json(self.file)
        known = content.get("identities") if content.get("state") == self.state else None
        if isinstance(known, dict) and all(re.fullmatch(r"[0-9a-f]{8}", str(item)) for item in known.values()):
            self.identities = known
        self._saved = len(self.identities)

    def save(self) -> None:
        if len(self.identities) > self._saved or not self.file.exists():
            write_whole(self.file, json.dumps({"state": self.state, "identities": self.identities}))
            self._saved = len(self.identities)


def settings_fingerprint(roots: Iterable[Path], code: Path) -> str:
    return digest_files([*(item for root in roots for item in config_files(root)), *source_files([code])])


def config_files(root: Path) -> Iterator[tuple[str, Path]]:
    """The settings files in a folder, without those of runs: name and path."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [] if METRICS in files else sorted(subfolders)
        for path in (Path(folder) / name for name in sorted(files) if METRICS not in files):
            if path.suffix == ".yaml":
                yield path.relative_to(root).as_posix(), path
