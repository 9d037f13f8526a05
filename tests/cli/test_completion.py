"""What TAB proposes, and that the shells take it."""

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from labbook.cli import completion
from labbook.installation import CONFIGS
from scripts import completion as installing
from tests.cases import each_case
from tests.conftest import Command

ROOT = CONFIGS.parent
MODELS = sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml"))
SHELLS = ("bash", "zsh", "fish")


@each_case(
    ("typed", "proposed"),
    [
        ("model=", [f"model={name}" for name in MODELS]),
        ("model=len", ["model=lenet5"]),
        ("-m data=digits model=mlp,len", ["model=mlp,lenet5"]),
        ("+debug=o", ["+debug=overfit"]),
        ("hydra/launcher=j", ["hydra/launcher=joblib"]),
        ("model=nonsense", []),
        ("--m", ["--multirun"]),
        ("resume=lo", ["resume=logs/"]),
        ("resume=", ["resume=logs/runs/", "resume=logs/sweeps/"]),
        ("resume=logs/runs/", ["resume=logs/runs/plain/"]),
        # From here on, Hydra composes.
        ("mo", ["model.", "model="]),
        ("model=mlp model.de", ["model.depth="]),
        ("model=lenet5 model.de", []),
        ("optimizer=sgd optimizer.lr=", ["optimizer.lr=0.01"]),
        ("data.shuffle=", ["data.shuffle=false", "data.shuffle=true"]),
        ("hydra/swee", ["hydra/sweeper="]),
        ("~sched", ["~scheduler"]),
        ("choi", []),
        ('"model.hidden=[3, 4]" model=mlp model.wi', ["model.width="]),
    ],
)
def test_proposals(typed: str, proposed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("plain", "$(touch gone)", ".hidden"):
        (tmp_path / "logs" / "runs" / name).mkdir(parents=True, exist_ok=True)
    found = completion.proposals(f"python train.py {typed}")
    assert found == proposed


def test_at_the_beginning_groups_and_settings_are_proposed() -> None:
    found = completion.proposals(".venv/bin/python ./train.py ")
    assert {"model=", "model.", "experiment=", "epochs=", "resume="} <= set(found)
    assert not [each for each in found if each.startswith(("hydra", "base", "config_groups", "model_data"))]


@pytest.mark.parametrize("line", ["", "python", 'python train.py "a', "python train.py model=[ x"])
def test_a_line_that_cannot_be_read_has_no_end(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["completion", line])
    monkeypatch.setattr(completion, "propose_settings", lambda *_: [])
    completion.main()
    assert capsys.readouterr() == ("\n", "")


def test_what_files_of_others_hold_is_not_proposed_where_a_shell_would_obey_it(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own.yaml").write_text("_target_: labbook.models.mlp.MLP\nactivation: '`touch gone`'\n")
    line = f"python train.py --config-dir={tmp_path} model=own model.activation"
    assert completion.proposals(line.partition("=own")[0] + "=ow") == ["model=own"]
    assert completion.proposals(line) == ["model.activation="]
    assert completion.proposals(f"{line}=") == []


def test_hydras_own_is_refused(labbook: Command) -> None:
    assert labbook("-sc", "install=bash").sentence == "-sc: use make completion to install completion"
    assert labbook("--shell-completion", "query=fish").code == 2


@pytest.mark.slow
def test_bash_takes_choices_and_settings_and_no_torch_is_imported(tmp_path: Path) -> None:
    """In a real bash, both where the sign = ends a word and where it does not."""
    script = f"""
        . {shlex.quote(str(ROOT / "scripts/shell/completion.bash"))}
        ask() {{ COMP_LINE="{sys.executable} train.py $1"; COMP_POINT=${{#COMP_LINE}}; _labbook_complete
                 echo "${{COMPREPLY[*]}}"; }}
        ask model=len
        COMP_WORDBREAKS=${{COMP_WORDBREAKS//=}}
        ask model=len
        ask 'model=mlp model.de'
        COMP_LINE="python other.py x"; COMP_POINT=${{#COMP_LINE}}; COMPREPLY=(x); _labbook_complete
        echo "${{COMPREPLY[*]}}"
    """
    (tmp_path / "torch.py").write_text("raise SystemExit('torch is imported')")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])}
    command = [shutil.which("bash") or "bash", "--norc", "-c", f"COMP_WORDBREAKS=' =:'; {script}"]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["lenet5", "model=lenet5", "model.depth=", ""]
    assert ended.stderr == ""


@pytest.fixture
def command(script: Callable[[ModuleType], Command]) -> Command:
    return script(installing)


def test_it_is_installed_once_and_taken_away(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    refused = command()
    assert refused.code == 2
    assert re.search(r"bin has no activate: have your shell read one of .*completion\.bash", refused.sentence)
    folder = tmp_path / "bin"
    folder.mkdir()
    before = {"activate": "# POSIX\necho activated\n", "activate.fish": "echo activated\n"}
    for name, text in before.items():
        (folder / name).write_text(text)
    for _ in range(2):
        assert command().out.startswith("completion: from the next '. ")
    after = {name: (folder / name).read_text() for name in before}
    assert all(text.count("# Labbook's completion") == 1 for text in after.values())
    for shell in ("sh", "bash"):  # a script that stops at the first error, and at variables that are not set
        ended = subprocess.run([shell, "-euc", f". {folder}/activate"], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "activated\n", "")
    interactive = ["bash", "--norc", "-ic", f". {folder}/activate; complete -p python"]
    assert "_labbook_complete python" in subprocess.run(interactive, capture_output=True, text=True, check=True).stdout
    assert command("--remove").out == "completion: taken away\n"
    assert {name: (folder / name).read_text() for name in before} == before


def typed_into(shell: str, line: str, awaited: bytes) -> bytes:
    """What a terminal shows after a line has been typed into a shell that has read its file."""
    options = {"bash": ["--norc", "-i"], "zsh": ["-f", "-i"], "fish": ["--no-config", "-i"]}[shell]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execvpe(shell, [shell, *options], os.environ | {"TERM": "dumb"})
    shown, until = b"", time.monotonic() + 60

    def wait_for(text: bytes) -> None:
        nonlocal shown
        while text not in shown.replace(b"\a", b"") and time.monotonic() < until:
            if select.select([terminal], [], [], 0.2)[0]:
                shown += os.read(terminal, 65536)

    try:
        os.write(terminal, f". {ROOT}/scripts/shell/completion.{shell}; echo rea''dy\r".encode())
        wait_for(b"ready\r")
        shown = b""
        os.write(terminal, line.encode())
        wait_for(awaited)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)
    return shown.replace(b"\a", b"")


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("begun", "whole"),
    [
        ("model=len", b"model=lenet5"),
        ("model=mlp model.de", b"model.depth="),
        ("data.shuf", b"data.shuffle="),
        ("-m scheduler=none,tri", b"scheduler=none,triangular"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_every_shell_completes(shell: str, begun: str, whole: bytes) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert whole in typed_into(shell, f"{sys.executable} train.py {begun}\t", whole)
