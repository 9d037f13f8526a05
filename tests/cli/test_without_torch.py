"""The program answers at once: it helps and says no without importing torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_command_line import ROOT

TYPOS = {
    "typo_root": ("epohcs: 3", "experiment/typo_root.yaml: epohcs is not a setting; did you mean epochs?"),
    "typo_task": ("task:\n  label_smoothin: 0.1", "typo_task.yaml: task.label_smoothin is not a setting; did you mean"),
    "typo_group": (
        "model:\n  paddin: 1",
        "experiment=typo_group: model.paddin is not a setting; did you mean padding?",
    ),
    "typo_nested": (
        "callbacks:\n  pictures:\n    sampels: 3",
        "experiment=typo_nested: callbacks.pictures.sampels is not a setting; did you mean samples?",
    ),
    "typo_choice": ("defaults:\n  - override /model: lenet", "model=lenet is unknown; did you mean lenet5? choices: "),
    "typo_override": ("defaults:\n  - override /modle: mlp", "modle is not a group; did you mean model? choices: "),
    "wrong_type": ("seed: abc", "experiment/wrong_type.yaml: seed must be a whole number, not abc"),
    "scalar": ("model: mlp", "model must be one of its choices and not mlp: write model=CHOICE on the command line"),
    "broken": ("data: [1", "broken.yaml"),
}

REFUSED_AT_ONCE = [
    (["model=lenet"], "model=lenet is unknown; did you mean lenet5?"),
    (
        ["optimizer.lrr=0.1"],
        "optimizer.lrr is not a setting; did you mean lr? settings here: betas, eps, lr, weight_decay",
    ),
    (["model=mlp,lenet5"], "model=mlp,lenet5 gives several values: add -m"),
    (["seed=abc"], "seed must be a whole number, not abc"),
    (["epochs=0"], "epochs must be at least 1, not 0"),
    (["--epochs=3"], "--epochs=3: settings have no dashes: epochs=3"),
    (["resume=nowhere"], "nowhere is not a run folder"),
    (["nonsense"], "cannot read 'nonsense'"),
    (["find-lr", "optimizer.lrr=0.1"], "optimizer.lrr is not a setting; did you mean lr?"),
    (["find-lr", "sweep=smoke"], "sweep=smoke makes several runs: find-lr tests one run"),
    (["find-lr", "resume=logs"], "resume=logs: find-lr tests a new run: leave it out"),
    (["find-lr", "--highest", "1e-7"], "--lowest 1e-06 and --highest 1e-07: use 0 < lowest < highest"),
    (["find-lr", "--output", "plot.gif"], "--output plot.gif: endings: pdf, png, svg"),
    (["-m", "--cfg", "job"], "-m (a sweep), --cfg and --info cannot be combined: use one of them"),
]

# In a process of their own also because --info leaves Hydra talking.
ANSWERED_AT_ONCE = [
    ["--help"],
    ["--cfg", "job"],
    ["--info", "defaults"],
    ["--info", "defaults-tree"],
    ["find-lr", "--help"],
]

DRIVER = """
import contextlib, io, json, sys
sys.path.insert(0, {root!r})
import train
from labbook.cli import command_line as cli
from labbook.cli.commands import find_lr
from tests import hydra_memory
hydra_memory.install()
answers = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["train.py", *arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            if arguments[0] == "find-lr":
                del sys.argv[1]
                find_lr.main()
            cli.run_command_line(train.main)
        except SystemExit as ended:
            code = ended.code
    heavy = [name for name in ("torch", "pytorch_lightning", "matplotlib", "numpy") if name in sys.modules]
    answers.append([code, out.getvalue(), err.getvalue(), heavy])
print(json.dumps(answers))
"""


def test_it_says_no_and_helps_without_importing_torch(tmp_path: Path) -> None:
    folder = tmp_path / "more" / "experiment"
    folder.mkdir(parents=True)
    for name, (text, _) in TYPOS.items():
        (folder / f"{name}.yaml").write_text(f"# @package _global_\n{text}\n")
    refused = REFUSED_AT_ONCE + [
        ([f"--config-dir={folder.parent}", f"experiment={name}"], sentence) for name, (_, sentence) in TYPOS.items()
    ]
    commands = [arguments for arguments, _ in refused] + ANSWERED_AT_ONCE
    environment = {**os.environ, "COMP_LINE": "python train.py model="}
    here = tmp_path / "here"
    here.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", DRIVER.format(root=str(ROOT)), json.dumps(commands)],
        cwd=here, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    answers = json.loads(ended.stdout)
    for (arguments, sentence), (code, out, err, heavy) in zip(refused, answers, strict=False):
        assert (code, out, heavy) == (2, "", []), arguments
        assert err.startswith("error: ")
        assert err.count("\n") == 1, err
        assert sentence in err
    for arguments, (code, out, err, heavy) in zip(ANSWERED_AT_ONCE, answers[len(refused) :], strict=True):
        assert (code, err, heavy) == (0, "", []), arguments
        assert "model" in out or "learning rate" in out
    assert list(here.iterdir()) == []


def started(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["--help"], 0, marks=pytest.mark.slow, id="help"),  # takes less than the other
        pytest.param(["optimizer.lrr=0.1"], 2, id="misspelt key"),
    ],
)
def test_a_fresh_program_answers_soon(arguments: list[str], code: int, tmp_path: Path) -> None:
    begun = os.times()
    ended = started(*arguments, cwd=tmp_path)
    done = os.times()
    seconds = done.children_user + done.children_system - begun.children_user - begun.children_system
    assert ended.returncode == code
    assert seconds < 3  # of CPU; 0.3 and 0.5 where nothing else runs
    assert list(tmp_path.iterdir()) == []
