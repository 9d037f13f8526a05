"""The command line: help, completion, how the program ends, and that it says no without importing torch."""

import errno
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from labbook import experiment
from labbook.cli import command_line
from labbook.config import schema
from labbook.errors import SettingError, StoppedBySignal, TrainingError
from labbook.installation import CONFIGS
from tests import composing
from tests.conftest import Command

ROOT = CONFIGS.parent
CHOICES = {group: [path.stem for path in sorted((CONFIGS / group).glob("*.yaml"))] for group in schema.GROUPS}


# Help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_choice_of_every_group_with_what_it_is(flag: str, labbook: Command) -> None:
    ended = labbook(flag)
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    for group, names in CHOICES.items():
        below = lines[lines.index(f"  {group}=") + 1 :][: len(names)]
        for name, line in zip(names, below, strict=True):
            text = command_line.config_description(CONFIGS / group / f"{name}.yaml")
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
    assert marked == [defaults[group] for group in schema.GROUPS if defaults[group]]


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
            experiment.check_experiment(composing.composed(*overrides))


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
    block = labbook("--help").out.partition("Most used settings")[2].partition("\n\n")[0]
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
    assert labbook("model=mlp", "--cfg", "job", "-p", "model.hidden").out == "null\n"
    ended = labbook("model=mlp", "--cfg", "job", "-p", "model")
    assert ended.code == 0
    assert yaml.safe_load(ended.out).keys() >= {"_target_", "hidden", "depth", "width"}


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


@pytest.mark.parametrize("text", ["trainer:\n  max_steps: 9\n", "config_groups:\n  data: mnist\n"])
def test_files_cannot_set_what_the_program_sets(text: str, labbook: Command, tmp_path: Path) -> None:
    folder = written(tmp_path / "more", "experiment", f"# @package _global_\n{text}")
    ended = labbook(f"--config-dir={folder}", "experiment=mine")
    assert ended.code == 2
    assert " is set by the program: " in ended.sentence


def test_a_typo_is_found_beside_a_model_of_ones_own(labbook: Command, tmp_path: Path) -> None:
    folder = written(tmp_path / "more", "model", "# mine\n_target_: labbook.models.mlp.MLP\nwidth: 3\n")
    ended = labbook(f"--config-dir={folder}", "model=mine", "model.widht=4")
    assert ended.sentence == "model.widht is not a setting; did you mean width? settings here: freeze, weights, width"
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
    ended = labbook(*quick, "debug=fast", "+optimizer.amsgrad=true", "notes.why=mine", "+notes.more=2")
    assert ended.code == 0, ended.err
    saved = yaml.safe_load((ended.run / "config.yaml").read_text())
    assert (saved["optimizer"]["amsgrad"], saved["notes"]) == (True, {"why": "mine", "more": 2})
    assert saved["config_groups"]["debug"] == "fast"


@pytest.mark.parametrize(
    "override", ["+criterion=focal", "+sampler=balanced", "+class_weights=[1,2]", "+note=mine", "++lr=1"]
)
def test_what_the_root_does_not_declare_is_refused(override: str, labbook: Command) -> None:
    ended = labbook("debug=fast", override)
    name = override.lstrip("+").partition("=")[0]
    assert ended.code == 2
    assert ended.sentence.startswith(f"{name} is not a setting; ")
    assert ended.sentence.endswith(f"; for your own notes use notes.{name}=VALUE")


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("+optimizer.amsgrad=3", "optimizer.amsgrad must be true or false, not 3"),
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
        (StoppedBySignal(signal.SIGINT), 130, ""),
        (StoppedBySignal(signal.SIGTERM), 143, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=lambda item: type(item).__name__ if isinstance(item, BaseException) else "",
)
def test_each_end_has_its_exit_code_and_sentence(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, command_line.exit_with_message():
        raise error
    assert ended.value.code == code
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), FileNotFoundError(errno.ENOENT, "no such file", "x"), KeyError("y")]
)
def test_what_nobody_foresaw_keeps_its_traceback(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(type(error)), command_line.exit_with_message():
        raise error
    assert capsys.readouterr() == ("", "")


def test_nothing_happens_where_nothing_is_wrong() -> None:
    with command_line.exit_with_message():
        pass


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another error there")
def test_a_reader_that_has_had_enough_ends_a_program_without_a_word() -> None:
    code = "with exit_with_message():\n    while True: print('line ' * 999, flush=True)"
    code = f"from labbook.cli.command_line import exit_with_message\n{code}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.read(4)
        program.stdout.close()
        assert program.stderr.read() == b""
    assert program.returncode == 141


@pytest.mark.slow
def test_help_may_be_read_in_part(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train.py"), "--help"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.close()
        _, told = program.communicate(timeout=60)
    assert (program.returncode, told) == (0, b"")
