"""First names of settings are read in the folders of runs, and refused with the current ones in a command."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from labbook.cli.commands import evaluate
from labbook.config import renames
from labbook.installation import CONFIGS
from labbook.reports import read_runs
from labbook.runs.resume import read_run_config
from labbook.runs.run_id import run_id
from tests.composing import composed
from tests.conftest import Command

WRITTEN = ("choices",)  # what only the program writes
RENAMED = {
    renames.joined(parent, old): renames.joined(parent, new)
    for parent, names in renames.SETTINGS.items()
    for old, new in names.items()
    if old not in WRITTEN
}
SENTENCES = {old: f"{old} was renamed: write {new}=VALUE" for old, new in RENAMED.items()} | {
    old: f"{old} is a callback now: write callbacks={old.rpartition('.')[2]}" for old in renames.CALLBACKS
}
CHOICES = [(group, old, new) for group, names in renames.CHOICES.items() for old, new in names.items()]
KEPT = sorted((CONFIGS.parent / "docs" / "results").glob("*/*/config.yaml"))


def nested(name: str) -> str:
    """A setting as a file has it."""
    *parents, key = name.split(".")
    lines = [f"{'  ' * depth}{part}:" for depth, part in enumerate(parents)]
    return "\n".join([*lines, f"{'  ' * len(parents)}{key}: last", ""])


@pytest.mark.parametrize("name", SENTENCES)
def test_the_first_name_of_a_setting_is_refused_with_todays(name: str, labbook: Command, tmp_path: Path) -> None:
    for group, text in (
        ("experiment", nested(name)),
        ("sweep", f"hydra:\n  sweeper:\n    params:\n      {name}: last,best\n"),
    ):
        (tmp_path / group).mkdir()
        (tmp_path / group / "mine.yaml").write_text(f"# @package _global_\n{text}")
    files = f"--config-dir={tmp_path}"
    choice = ("callbacks=ema",) if name.startswith("callbacks.ema.") else ()
    forms = [[f"{name}=last"], [files, "experiment=mine"]]
    if name == "test_on":  # the other ways to write it
        forms += [[f"+{name}=last"], [f"~{name}"], [f"--{name}=last"], ["-m", files, "sweep=mine"]]
    for arguments in forms:
        ended = labbook(*arguments, *choice)
        assert ended.code == 2, arguments
        assert SENTENCES[name] in ended.sentence, arguments
        assert "did you mean" not in ended.sentence
    assert not list(Path("logs").rglob("*/*"))


@pytest.mark.parametrize(("group", "old", "new"), CHOICES)
def test_the_first_name_of_a_choice_is_refused_with_todays(
    group: str, old: str, new: str, labbook: Command, tmp_path: Path
) -> None:
    (tmp_path / "experiment").mkdir()
    text = f"# @package _global_\ndefaults:\n  - override /{group}: {old}\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    for arguments in (
        [f"{group}={old}"],
        ["-m", f"{group}={old},{new}"],
        [f"--config-dir={tmp_path}", "experiment=mine"],
    ):
        ended = labbook(*arguments)
        assert ended.code == 2, arguments
        assert ended.sentence == f"{group}={old} was renamed: write {group}={new}", arguments


def test_the_first_names_of_values_are_named_with_the_setting() -> None:
    for name, values in renames.VALUES.items():
        for old, new in values.items():
            assert f"{new} for {old}" in renames.instead(renames.original_name(name))


# Read --------------------------------------------------------------------------------------------------------------

CALLBACKS = ("callbacks=[ema,gradient_norms]", "callbacks.ema.update_every_n_steps=2")
USED = (  # another value of everything that was renamed
    *("data.on_device=false", "data.val_split=last", "test_checkpoint=last", "evaluate_train=true"),
    *("reuse_freed_memory=false", *CALLBACKS, "optimizer=sgd_momentum"),
)


def plain(*overrides: str) -> dict[str, Any]:
    found: dict[str, Any] = OmegaConf.to_container(composed(*overrides), resolve=True)  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("overrides", [(), USED, ("data.validation=test", "callbacks=none", "scheduler=step")])
def test_there_and_back_is_the_same(overrides: tuple[str, ...]) -> None:
    now = plain(*overrides)
    first = renames.original(now)
    assert renames.current(first) == now
    assert renames.current(now) == now
    assert renames.original(first) == first
    names = {old.rpartition(".")[2] for old in SENTENCES}
    assert not [name for name in names if f'"{name}"' in json.dumps(now) and name not in ("every", "gradient_norms")]
    assert first["task"]["gradient_norms"] is (overrides == USED)
    assert run_id(OmegaConf.create(first)) == run_id(OmegaConf.create(now))


def test_a_setting_of_the_same_name_of_an_own_class_stays() -> None:
    own = {"_target_": "mylab.data.Own", "resident": True, "validation": "val"}
    callback = {"_target_": "mylab.callbacks.EMA", "every": 2}
    config = {"data": own, "callbacks": {"ema": callback}, "task": {}}
    assert renames.current(config)["data"] == own
    assert renames.original(config)["data"] == own
    assert renames.current(config)["callbacks"] == {"ema": callback}


def test_kept_runs_have_todays_names() -> None:
    assert KEPT
    for file in KEPT[::60]:
        for config in (read_run_config(file.parent), OmegaConf.create(read_runs.read_plain_config(file))):
            was = OmegaConf.load(file)
            for old, new in RENAMED.items():
                if (value := OmegaConf.select(was, old)) is not None:
                    assert OmegaConf.select(config, new) == renames.VALUES.get(new, {}).get(value, value)
                    assert OmegaConf.select(config, old) is None
            assert "gradient_norms" not in config.task


def as_before(run: Path) -> None:
    """Write the configuration of a run as version 0.1 did."""
    file = run / "config.yaml"
    first = renames.original(yaml.safe_load(file.read_text()))
    file.write_text(yaml.safe_dump(first, sort_keys=False))
    assert {"test_on", "keep_memory"} <= first.keys()


TINY = ("model=mlp", "epochs=1", "data.limit=100", "logger=none", "callbacks.pictures=null")


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_with_first_names_is_continued(labbook: Command, script: Callable[[ModuleType], Command]) -> None:
    command = ("-m", *TINY, "optimizer=sgd_momentum", "data.on_device=false", *CALLBACKS, "test_checkpoint=last,best")
    first = labbook(*command)
    assert first.code == 0, first.err
    sweep = first.run
    runs = sorted(path.parent for path in sweep.glob("*/config.yaml"))
    assert len(runs) == 2
    for run in runs:
        as_before(run)
    mark = json.loads((sweep / "sweep.json").read_text())
    mark["over"] = [renames.original_name(name) for name in mark["over"]]
    (sweep / "sweep.json").write_text(json.dumps(mark))
    (sweep / ".index.json").unlink()
    assert "optimizer-sgd_momentum" in sweep.name
    assert sweep.name.endswith("_by_test_checkpoint")
    before = sweep.with_name(sweep.name.replace("sgd_momentum", "momentum").replace("test_checkpoint", "test_on"))
    sweep.rename(before)
    runs = [before / run.name for run in runs]
    assert "test_checkpoint" in read_runs.read_sweep(before).over
    again = labbook(*command)
    assert again.code == 0, again.err
    assert "of 2 runs: 2 finished already" in again.out
    assert not sweep.exists()
    assert "data.on_device" in script(evaluate)(str(runs[0]), "data.resident=true").sentence


@pytest.mark.slow
def test_a_run_with_first_names_is_evaluated_and_resumed(
    labbook: Command, script: Callable[[ModuleType], Command]
) -> None:
    first = labbook(*TINY, "optimizer=sgd_momentum", "data.on_device=false", *CALLBACKS, "test_checkpoint=last")
    assert first.code == 0, first.err
    as_before(first.run)
    ended = script(evaluate)(str(first.run), "data.on_device=true")
    assert ended.code == 0, ended.err
    more = labbook(f"resume={first.run}", "epochs=2")
    assert more.code == 0, more.err
    assert more.run == first.run
