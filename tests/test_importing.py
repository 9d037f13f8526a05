"""How a program starts: what Ctrl-C does meanwhile, and that only heavy imports are spared the garbage collector."""

import ast
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

import pytest

from labbook import installation

ROOT = Path(__file__).parents[1]

# Stands for torch, which takes seconds; tells what the collector does before, within and after.
SCRIPT = """
import atexit, gc, json, sys, types
from labbook import lazy_imports

gc.collect()
told = []
atexit.register(lambda: print(json.dumps([*told, gc.get_freeze_count()])))  # the last thing that happens
try:
    with lazy_imports.import_torch_stack():
        told.append(gc.isenabled())
        {within}
except ImportError:
    told.append("failed")
told += [gc.isenabled(), gc.get_freeze_count() > 0]
loop = []
loop.append(loop)
del loop
told.append(gc.collect() > 0)
with lazy_imports.import_torch_stack():
    told.append(gc.isenabled())
"""


def told(within: str) -> list[object]:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(within=within)], capture_output=True, text=True, timeout=60, check=True
    )
    found: list[object] = json.loads(ended.stdout)
    return found


def test_garbage_is_not_looked_for_while_importing_and_is_afterwards_and_at_the_end() -> None:
    assert told("sys.modules['torch'] = types.ModuleType('torch')") == [False, True, True, True, True, 0]


def test_the_collector_is_on_again_after_an_import_that_failed() -> None:
    assert told("import labbook.nowhere")[:3] == [False, "failed", True]


HIT = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)"


@pytest.mark.skipif(os.name == "nt", reason="a process cannot send itself Ctrl-C there")
@pytest.mark.parametrize(
    ("before", "within"),
    [
        ("from labbook import starting", "with nullcontext()"),
        ("from labbook import lazy_imports, starting", "with lazy_imports.import_torch_stack()"),
    ],
)
def test_ctrl_c_while_a_program_starts_ends_it_at_once_without_a_word(before: str, within: str) -> None:
    code = f"from contextlib import nullcontext\n{before}\n{within}:\n    {HIT}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.skipif(os.name == "nt", reason="a process cannot send itself Ctrl-C there")
def test_ctrl_c_raises_once_work_has_begun() -> None:
    tried = f"try:\n    {HIT}\nexcept KeyboardInterrupt:\n    print('told')"
    code = f"from labbook import signals, starting\nsignals.restore_interrupts()\n{tried}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "told\n", "")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C goes to a whole console there")
@pytest.mark.parametrize("delay", [0.2, 0.4, 0.6, 0.9, 1.2, 1.6, 2.0, 2.4, 2.8])
def test_ctrl_c_at_any_moment_of_the_start_is_quiet(delay: float, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train.py"), "epochs=1000", "logger=none"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        time.sleep(delay)
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=60)
    assert (program.returncode, err) == (130, "")


PROGRAMS = [ROOT / "train.py", *sorted((ROOT / "scripts").glob("*.py")), *sorted((ROOT / "tools").glob("[!_]*.py"))]
BEFORE_SETUP = ("make.py", "write_locks.py")  # work before any package is installed
INLINE = "module://matplotlib_inline.backend_inline"  # what Jupyter, Colab and VS Code tell every `!python train.py`


@pytest.mark.parametrize(
    "program", [path for path in PROGRAMS if path.name not in BEFORE_SETUP], ids=lambda path: path.name
)
def test_every_program_starts_in_the_same_way_before_it_imports_anything_else(program: Path) -> None:
    statements = ast.parse(program.read_text(encoding="utf-8"), feature_version=(3, 7)).body
    imports = [ast.unparse(item) for item in statements if isinstance(item, (ast.Import, ast.ImportFrom))]
    assert imports[:3] == ["import sys", "from pathlib import Path", "from labbook import starting as starting"]


@pytest.mark.parametrize("name", ["__init__", "installation", "starting"])
def test_older_pythons_read_what_refuses_them(name: str) -> None:
    ast.parse((ROOT / "src" / "labbook" / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 7))


def lacking(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """Hide modules from `installation`."""
    monkeypatch.setattr(installation, "sys", SimpleNamespace(**{**vars(sys), "modules": {}}))
    monkeypatch.setattr(
        installation, "find_spec", lambda name: None if name in missing else importlib.util.find_spec(name)
    )


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (("hydra",), "it has no hydra: run"),
        (("torch", "rich"), "it has no torch, rich: run"),
        (("hydra", "torch", "PIL", "yaml", "numpy"), "it has no hydra, torch, PIL and 2 more packages: run"),
    ],
)
def test_a_python_that_lacks_packages_is_told_which(
    missing: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking(monkeypatch, *missing)
    with pytest.raises(SystemExit) as ended:
        installation.check_installation()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {sys.executable} is not Labbook's environment: {said} `make")


def test_an_older_python_is_told_which_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "sys", SimpleNamespace(version="3.9.18 (main)", version_info=(3, 9, 18)))
    assert installation.installation_problem() == "it is Python 3.9.18, and Labbook needs 3.11.4 or newer"


def test_the_advice_works_where_the_user_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installation, "sys", SimpleNamespace(prefix="/usr"))
    monkeypatch.chdir(ROOT)
    assert installation.setup_advice() == "run `make setup`, then `. .venv/bin/activate`, or use `make train ARGS=...`"
    monkeypatch.chdir(tmp_path)
    elsewhere = (
        f"run `make -C {ROOT} setup`, then `. {ROOT}/.venv/bin/activate`, or use `make -C {ROOT} train ARGS=...`"
    )
    assert installation.setup_advice() == elsewhere
    with monkeypatch.context() as windows:
        windows.setattr(installation, "os", SimpleNamespace(name="nt"))
        said = installation.setup_advice()
    assert said.replace("/", "\\").endswith("make.py train ...`")
    assert r"\.venv\Scripts\activate`" in said.replace("/", "\\")
    monkeypatch.setattr(installation, "sys", SimpleNamespace(prefix=str(ROOT / ".venv")))
    assert installation.setup_advice() == f"run `make -C {ROOT} setup`, which installs all packages again"


def test_what_a_program_needs_is_what_pyproject_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"].startswith(f">={'.'.join(map(str, installation.PYTHON))},")
    named = {canonical(re.split(r"[><=\[ ]", item)[0]) for item in project["dependencies"]} - {"setuptools"}
    owners = packages_distributions()
    assert {canonical(owner) for name in installation.NEEDED for owner in owners[name]} == named
    assert len(installation.NEEDED) == len(named)


def canonical(name: str) -> str:
    return name.lower().replace("_", "-")


def test_a_program_draws_without_the_backend_of_a_notebook(tmp_path: Path) -> None:
    code = "from labbook import starting; import matplotlib, os; print(matplotlib.get_backend(), os.environ[%r])"
    ended = subprocess.run(
        [sys.executable, "-c", code % "MPLBACKEND"], env={**os.environ, "MPLBACKEND": INLINE},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "agg agg\n", "")


def test_paths_of_a_program_may_begin_with_the_home_folder() -> None:
    words = ["~/a b", "--csv=~/x.csv", "--csv", "~/x", "a~/b", "~seed", "data.root=~/x", "--note=~"]
    code = "from labbook import starting; import sys; print(*sys.argv[1:], sep='|')"
    ended = subprocess.run(
        [sys.executable, "-c", code, *words], env={**os.environ, "HOME": "/home/me"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ended.stdout == "/home/me/a b|--csv=/home/me/x.csv|--csv|/home/me/x|a~/b|~seed|data.root=~/x|--note=~\n"
