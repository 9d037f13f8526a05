"""A clean copy of the project, as somebody has it who types the commands of a page in order."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.data.samples import album, images, photograph, write_mnist
from tests.docs.pages import PROJECT, ROOT

LESS = Path(__file__).parent / "less.py"
FILES = ("Makefile", "train.py", "pyproject.toml", "*.lock", "*.md")
FOLDERS = ("configs", "scripts", "src", "tools", "docs", "tests")
LABS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
LIMIT = 600  # seconds that one command may take


def tool(path: Path, *lines: str) -> None:
    """A program in the sandbox's environment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


@dataclass(frozen=True)
class Sandbox:
    """A copy of the project in `root`, with an environment whose `python` has less to do."""

    root: Path

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        """What a shell makes of a command."""
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("LABBOOK_", "PYTEST_", "HYDRA_"))
        }
        environment |= {
            "PATH": f"{self.root / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),
            "HOME": str(self.root),  # completion is installed there
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip


def made(root: Path) -> Sandbox:
    """The copy, with small sets in the place of the real ones."""
    for file in (file for pattern in FILES for file in ROOT.glob(pattern)):
        shutil.copy(file, root)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, program in {"python": "", "tensorboard": "tensorboard "}.items():
        tool(root / ".venv" / "bin" / name, f'exec "{sys.executable}" "{LESS}" {program}"$@"')
    tool(root / ".venv" / "bin" / "uv", "exit 0")  # the packages are there
    (root / ".venv" / "bin" / "activate").touch()  # each command has the environment already
    (root / ".venv" / "lib" / "python3.x" / "site-packages").mkdir(parents=True)
    for name in ("MNIST", "KMNIST"):
        write_mnist(root / "data" / name / "raw", images(80, 1, 28, 10), images(80, 1, 28, 10, seed=1))
    album(root / "data" / "cats_dogs", {"training_set": 6, "test_set": 3}, ("cats", "dogs"))
    album(root / "data" / "cifar10_jpeg", {"train": 6, "test": 2}, LABS)
    return Sandbox(root)


def add_own_code(sandbox: Sandbox) -> None:
    """Put the package and the configurations of the project of a user's own into the copy."""
    shutil.copytree(PROJECT / "mylab", sandbox.root / "src" / "mylab", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PROJECT / "configs", sandbox.root / "configs", dirs_exist_ok=True)


def fill_in(sandbox: Sandbox, page: str) -> None:
    """Make what the page's placeholders stand for, under their own names: runs, sweeps, folders of images."""
    if re.search(r"\bFOLDER\b", page):
        album(sandbox.root / "FOLDER", {"train": 6, "val": 2, "test": 3}, ("cats", "dogs"))
    for name in set(re.findall(r"\b[A-Z]+(?:/\w+)*\.(?:png|jpg)\b", page)):
        photograph(sandbox.root / name, size=(40, 30))
    for kind, how in (
        ("runs", "python train.py data.limit=null"),
        ("sweeps", "python train.py -m optimizer=adam,sgd sweep.name=NAME"),
    ):
        names = sorted(set(re.findall(rf"\blogs/{kind}/([A-Z][A-Z0-9_]*)\b", page)))
        if not names:
            continue
        ended = sandbox.run(how)
        assert ended.returncode == 0, ended.stderr
        found = sandbox.root / re.findall(r"^(?:run|sweep): (.+)$", ended.stdout, re.MULTILINE)[-1]
        for name in names:
            if found.name != name:
                shutil.copytree(found, found.with_name(name))
        if found.name not in names:
            shutil.rmtree(found)
