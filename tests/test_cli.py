"""The command line: help, completion, how the program ends, and that it says no without importing torch."""

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from labbook import cli, config, training
from labbook.errors import Interrupted, SettingError, TrainingError
from tests import composing
from tests.conftest import Command

ROOT = cli.CONFIGS.parent
CHOICES = {group: [path.stem for path in sorted((cli.CONFIGS / group).glob("*.yaml"))] for group in config.GROUPS}


# Help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_choice_of_every_group_with_what_it_is(flag: str, labbook: Command) -> None:
    ended = labbook(flag)
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    for group, names in CHOICES.items():
        below = lines[lines.index(f"  {group}=") + 1 :][: len(names)]
        for name, line in zip(names, below, strict=True):
            text = cli.description(cli.CONFIGS / group / f"{name}.yaml")
            assert text
            assert line.lstrip(" *") == f"{name:<18} {text}"


def test_help_marks_the_defaults(labbook: Command) -> None:
    marked = [line.split()[1] for line in labbook("--help").out.splitlines() if line.startswith("   * ")]
    defaults = {
        group: name
        for item in composing.file("train.yaml")["defaults"]
        if isinstance(item, dict)
        for group, name in item.items()
    }
    assert marked == [defaults[group] for group in config.GROUPS if defaults[group]]


def test_help_fits_a_terminal_of_common_width(labbook: Command) -> None:
    assert max(map(len, labbook("--help").out.splitlines())) <= 132


def examples(text: str) -> list[list[str]]:
    """The arguments of the examples on the help page."""
    block = text.partition("Examples:\n")[2].partition("\n\n")[0]
    return [shlex.split(re.split(r"\s{2,}", line.strip())[0])[2:] for line in block.splitlines()]


def test_help_shows_six_examples_that_are_true(labbook: Command) -> None:
    found = examples(labbook("--help").out)
    assert len(found) == 6
    assert found[0] == []
    for arguments in found:
        swept = "-m" in arguments
        for overrides in runs_of([item for item in arguments if item != "-m"]) if swept else [arguments]:
            training.check(composing.composed(*overrides))


def runs_of(overrides: list[str]) -> list[list[str]]:
    """The overrides of each run of a sweep; a preset is composed as it is."""
    runs: list[list[str]] = [[]]
    for override in overrides:
        name, _, values = override.partition("=")
        runs = [[*run, f"{name}={value}"] for run in runs for value in values.split(",")]
    by_itself = [override for override in overrides if override.startswith(("sweep=", "seeds="))]
    assert len(runs) > 1 or by_itself, "a sweep has several runs"
    return runs


def test_the_settings_that_help_names_exist(labbook: Command) -> None:
    block = labbook("--help").out.partition("Settings reached for first")[2].partition("\n\n")[0]
    named = [word for line in block.splitlines()[1:] for word in line.split() if "=" in word]
    assert {word.partition("=")[0] for word in named} >= {
        "seed",
        "epochs",
        "optimizer.lr",
        "data.batch_size",
        "data.shuffle",
    }
    assert composing.composed(*named) == composing.composed("trainer.precision=32", "data.limit=1000"), (
        "all others are shown with their defaults"
    )


# Printing the configuration ----------------------------------------------------------------------------------------


def test_the_configuration_is_printed_as_yaml(labbook: Command) -> None:
    ended = labbook("model=mlp", "model.depth=3", "--cfg", "job")
    assert (ended.code, ended.err) == (0, "")
    printed = yaml.safe_load(ended.out)
    assert (printed["model"]["depth"], printed["seed"]) == (3, 42)


def test_one_group_of_it_is_printed(labbook: Command) -> None:
    ended = labbook("model=mlp", "--cfg", "job", "-p", "model")
    assert ended.code == 0
    assert yaml.safe_load(ended.out).keys() >= {"_target_", "hidden", "depth", "width"}


# Without torch -----------------------------------------------------------------------------------------------------

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
    "wrong_type": ("seed: abc", "experiment/wrong_type.yaml: seed: Value 'abc' of type 'str' could not"),
    "scalar": ("model: mlp", "model must be one of its choices and not mlp: write model=CHOICE on the command line"),
    "broken": ("data: [1", "broken.yaml"),
}

REFUSED_AT_ONCE = [
    (["modle=mlp"], "modle is not a setting; did you mean model?"),
    (["model=lenet"], "model=lenet is unknown; did you mean lenet5?"),
    (
        ["optimizer.lrr=0.1"],
        "optimizer.lrr is not a setting; did you mean lr? settings here: betas, eps, lr, weight_decay",
    ),
    (["model=alexnet", "model.dropuot=0.1"], "model.dropuot is not a setting; did you mean dropout?"),
    (["model=mlp,lenet5"], "model=mlp,lenet5 gives several values: add -m"),
    (["model=null"], "model=null is not a choice; choices: airbench94, alexnet"),
    (["seed=abc"], "seed: Value 'abc'"),
    (["epochs=0"], "epochs must be at least 1, not 0"),
    (["--epochs=3"], "--epochs=3: settings are written without dashes, epochs=3"),
    (["resume=nowhere"], "nowhere is not a run folder"),
    (["nonsense"], "cannot read 'nonsense'"),
    (["-m", "--cfg", "job"], "-m (a sweep), --cfg and --info each ask for something else: give one of them"),
]

# In a process of their own also because --info leaves Hydra talking.
ANSWERED_AT_ONCE = [
    ["--help"],
    ["--cfg", "job"],
    ["--info", "defaults"],
    ["--info", "defaults-tree"],
]

DRIVER = """
import contextlib, io, json, sys
sys.path.insert(0, {root!r})
import train
from labbook import cli
answers = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["train.py", *arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.command_line(train.main)
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
        assert "model" in out
    assert list(here.iterdir()) == []


def started(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["optimizer.lrr=0.1"], 2)], ids=["help", "misspelt key"]
)
def test_a_fresh_program_answers_soon(arguments: list[str], code: int, tmp_path: Path) -> None:
    begun = time.perf_counter()
    ended = started(*arguments, cwd=tmp_path)
    seconds = time.perf_counter() - begun
    assert ended.returncode == code
    assert seconds < 3  # 0.3 and 0.5 s where nothing else runs
    assert list(tmp_path.iterdir()) == []


# Files that settings come from -------------------------------------------------------------------------------------


def written(folder: Path, group: str, text: str) -> str:
    (folder / group).mkdir(parents=True, exist_ok=True)
    (folder / group / "mine.yaml").write_text(text)
    return str(folder)


@pytest.mark.parametrize("way", ["--config-dir={}", "hydra.searchpath=[{}]"])
@pytest.mark.parametrize("group", ["experiment", "debug"])
def test_typos_in_files_are_refused_however_the_file_is_found(
    way: str, group: str, labbook: Command, tmp_path: Path
) -> None:
    folder = written(tmp_path / "more", group, "# @package _global_\ndata:\n  btach_size: 3\n")
    ended = labbook(way.format(folder), f"{group}=mine")
    assert ended.code == 2
    assert ended.sentence.startswith(f"{group}=mine: data.btach_size is not a setting; did you mean batch_size?")
    assert not (tmp_path / "logs").exists()


def test_a_typo_is_found_beside_a_model_of_ones_own(labbook: Command, tmp_path: Path) -> None:
    folder = written(tmp_path / "more", "model", "# mine\n_target_: labbook.models.mlp.MLP\nwidth: 3\n")
    ended = labbook(f"--config-dir={folder}", "model=mine", "model.widht=4")
    assert ended.sentence == "model.widht is not a setting; did you mean width? settings here: width"
    written(tmp_path / "more", "experiment", "# @package _global_\nmodel:\n  widht: 4\n")
    ended = labbook("--config-dir", folder, "model=mine", "experiment=mine")
    assert ended.sentence.startswith("experiment=mine: model.widht is not a setting; did you mean width?")


def test_a_file_of_the_root_without_its_first_line_is_explained(labbook: Command, tmp_path: Path) -> None:
    folder = written(tmp_path / "more", "experiment", "epochs: 3\n")
    sentence = labbook(f"--config-dir={folder}", "experiment=mine").sentence
    assert sentence.startswith("experiment/mine.yaml: its first line must be '# @package _global_'")


def test_an_experiment_may_add_a_callback(labbook: Command, tmp_path: Path) -> None:
    text = "# @package _global_\ncallbacks:\n  more:\n    _target_: labbook.callbacks.Progress\n    baar: true\n"
    folder = written(tmp_path / "more", "experiment", text)
    ended = labbook(f"--config-dir={folder}", "experiment=mine")
    assert ended.sentence.startswith(
        "callbacks.more.baar is not a setting of labbook.callbacks.Progress; did you mean bar?"
    )


def test_what_the_command_line_adds_with_a_plus_is_kept(labbook: Command) -> None:
    quick = ("model=mlp", "data.limit=40", "logger=none", "callbacks=none", "trainer.precision=32")
    ended = labbook(*quick, "debug=fast", "+optimizer.amsgrad=true", "+note=mine")
    assert ended.code == 0, ended.err
    saved = yaml.safe_load((ended.run / "config.yaml").read_text())
    assert (saved["optimizer"]["amsgrad"], saved["note"]) == (True, "mine")
    assert saved["choices"]["debug"] == "fast"


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("+optimizer.amsgrad=3", "optimizer.amsgrad must be a valid boolean, not 3"),
        ("+model.paddin=3", "model.paddin is not a setting of labbook.models.lenet5.LeNet5; did you mean padding?"),
        (
            "+model.deep.er=3",
            "model.deep is not a setting of labbook.models.lenet5.LeNet5; settings: activation, padding",
        ),
    ],
)
@pytest.mark.parametrize("debug", [[], ["debug=fast"]], ids=["", "debug"])
def test_what_is_added_with_a_plus_is_still_held_against_the_signature(
    override: str, text: str, debug: list[str], labbook: Command
) -> None:
    ended = labbook(override, *debug)
    assert ended.code == 2
    assert ended.sentence.startswith(text)


# How it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SettingError("no such\n  thing"), 2, "error: no such thing\n"),
        (TrainingError("the loss became nan in step 3"), 1, "error: the loss became nan in step 3\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b"),
            2,
            "error: cannot write a/b: No space left on device\n",
        ),
        (OSError(errno.EROFS, "Read-only file system"), 2, "error: cannot write a file: Read-only file system\n"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2, "error: no access to /x: Permission denied\n"),
        (Interrupted(signal.SIGINT), 130, ""),
        (Interrupted(signal.SIGTERM), 143, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=lambda item: type(item).__name__ if isinstance(item, BaseException) else "",
)
def test_each_end_has_its_exit_code_and_sentence(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, cli.sentences():
        raise error
    assert ended.value.code == code
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), FileNotFoundError(errno.ENOENT, "no such file", "x"), KeyError("y")]
)
def test_what_nobody_foresaw_keeps_its_traceback(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(type(error)), cli.sentences():
        raise error
    assert capsys.readouterr() == ("", "")


def test_nothing_happens_where_nothing_is_wrong() -> None:
    with cli.sentences():
        pass


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another error there")
def test_a_reader_that_has_had_enough_ends_a_program_without_a_word() -> None:
    code = "from labbook.cli import sentences\nwith sentences():\n    while True: print('line ' * 999, flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.read(4)
        program.stdout.close()
        assert program.stderr.read() == b""
    assert program.returncode == 141


def test_help_may_be_read_in_part(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train.py"), "--help"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.close()
        _, told = program.communicate(timeout=60)
    assert (program.returncode, told) == (128 + 13, b"")
