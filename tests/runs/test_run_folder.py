"""How runs are named and found again."""

import errno
import json
import logging
import os
import shutil
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf, open_dict

from labbook import files
from labbook.config import arguments, renames, untrusted
from labbook.config import schema as settings
from labbook.config.frozen_settings import FROZEN
from labbook.errors import SettingError, TrainingError
from labbook.runs import run_folder, run_id
from tests.composing import composed, file


@pytest.fixture
def config() -> DictConfig:
    tree = composed()
    with open_dict(tree):
        tree.config_groups = {"model": "lenet5", "data": "digits"}
    return tree


# Another value for each setting that changes no result, and for each that does.
INDIFFERENT = {
    "log_dir": "elsewhere",
    "logger": None,
    "callbacks": {"progress": {"_target_": "labbook.callbacks.Progress", "bar": True}},
    "resume": "logs/runs/some",
    "checkpoint.every_minutes": 3.0,
    "published": [{"system": "A1"}],
    "seeds": 3,
    "sweep.name": "mine",
    "sweep.on_error": "stop",
    "sweep.job.folder": "some",
    "sweep.job.label": "1/2",
    "data.root": "elsewhere",
    "data.cache_dir": "elsewhere",
    "data.on_device": False,
    "reuse_freed_memory": False,
}
TELLING = {
    "seed": 1, "epochs": 31, "test_checkpoint": "last", "objective": "val/loss", "objective_mode": "min",
    "evaluate_train": True, "compile": True, "folds": 5, "fold": 1,
    "channels_last": True, "task.label_smoothing": 0.1, "optimizer.lr": 0.1,
    "loss._target_": "labbook.training.losses.FocalLoss", "loss.class_weights": "balanced",
    "task.mixup": 0.2, "task.cutmix": 1.0, "task.sam": 0.1, "task.layer_lr_decay": 0.75, "task.backbone_lr_factor": 0.1,
    "task.norm_bias_lr_factor": 2.0, "task.tta": "mirror", "task.init": "glorot",
    "optimizer._target_": "torch.optim.SGD", "scheduler.warmup_epochs": 2.0, "model.padding": 1,
    "model._target_": "labbook.models.mlp.MLP", "data.shuffle": False, "data.val_seed": 1, "data.augment": [],
    "data.limit": 100, "data.batch_size": 3, "data.validation": "test", "trainer.precision": 32,
    "trainer.gradient_clip_val": 1.0, "trainer.deterministic": True, "notes.why": "mine",
    "metrics.f1._target_": "torchmetrics.classification.F1Score",
}  # fmt: skip


@pytest.mark.parametrize("name", INDIFFERENT)
def test_what_does_not_change_the_result_does_not_change_the_identity(config: DictConfig, name: str) -> None:
    before = run_id.run_id(config)
    OmegaConf.update(config, name, INDIFFERENT[name], merge=False, force_add=True)
    assert run_id.run_id(config) == before


@pytest.mark.parametrize("name", TELLING)
def test_what_changes_the_result_changes_the_identity(config: DictConfig, name: str) -> None:
    before = run_id.run_id(config)
    OmegaConf.update(config, name, TELLING[name])
    assert run_id.run_id(config) != before


def test_every_setting_of_the_root_is_one_or_the_other() -> None:
    roots = {name.partition(".")[0] for name in (*INDIFFERENT, *TELLING)}
    assert roots == {item.name for item in fields(settings.TrainConfig)} - {"config_groups"}
    assert {
        name for name in run_id.IGNORED_KEYS if not any(f"{item}.".startswith(f"{name}.") for item in INDIFFERENT)
    } == set()


# A new setting at each place where there are settings: at the root, in a section, in each group and in a node inside.
PLACES = (
    *("", "task", "model", "data", "optimizer", "scheduler", "trainer", "trainer.strategy"),
    *("callbacks.early_stopping", "data.augment.0"),
)


@pytest.fixture
def with_nodes(config: DictConfig) -> DictConfig:
    """A configuration that has a node at each of the `PLACES`."""
    with open_dict(config):
        config.trainer.strategy = {"_target_": "pytorch_lightning.strategies.DDPStrategy"}
        config.callbacks.early_stopping = {"_target_": "labbook.callbacks.EarlyStopping", "patience": 1}
        config.data.augment = [{"_target_": "mylab.Blur"}]
    return config


@pytest.mark.parametrize("place", PLACES)
def test_a_new_setting_that_is_off_does_not_change_the_identity(with_nodes: DictConfig, place: str) -> None:
    before = run_id.run_id(with_nodes)
    node = OmegaConf.select(with_nodes, place) if place else with_nodes
    with open_dict(node):
        for off in (None, False, 0, 0.0, "", [], {}):
            node.added = off
            assert run_id.run_id(with_nodes) == before, off
        for on in (True, 1, 0.5, "some", [0], {"rate": 0}, {"_target_": "mylab.Thing"}):
            node.added = on
            assert run_id.run_id(with_nodes) != before, on


def test_a_run_of_before_a_setting_keeps_its_identity(config: DictConfig) -> None:
    """Of settings whose off value is not falsy, the schema says what every run did before."""
    now = run_id.run_id(config)
    for name in ("task.mixup", "task.layer_lr_decay", "task.backbone_lr_factor", "notes"):
        parent, _, key = name.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        with open_dict(node):
            del node[key]
    assert run_id.run_id(config) == now


def since_0_1(node: DictConfig, owner: str, place: str) -> list[str]:
    """The settings of a node that version 0.1 did not have."""
    names = {str(key): renames.original_name(f"{place}.{key}".lstrip(".")).rpartition(".")[2] for key in node}
    known = {"choices", *FROZEN[owner]}
    return [key for key, first in names.items() if first not in known and not key.startswith("_")]


def test_every_setting_since_version_0_1_is_left_out_where_it_is_off(config: DictConfig) -> None:
    """Of each group, in each of its choices: a run that does not use it is that of before."""
    later = set()
    for group in ("model", "data", "optimizer", "scheduler", "callbacks"):
        for path in arguments.choice_files(group):
            own = file(f"{group}/{path.stem}.yaml")  # which takes no time to compose
            config[group] = composed(f"{group}={path.stem}")[group] if "defaults" in own else own
            now = run_id.run_id(config)
            node = config[group]
            for part in node.values() if group == "callbacks" else [node]:
                target = str(part.get("_target_")) if isinstance(part, DictConfig) else ""
                for key in since_0_1(part, target, group) if target in FROZEN else ():
                    with open_dict(part):
                        del part[key]
                    assert run_id.run_id(config) == now, f"{group}={path.stem}: {key}"
                    later.add(f"{group}.{key}")
    for section in ("", "task", "trainer"):
        node = OmegaConf.select(config, section) if section else config
        now = run_id.run_id(config)
        for key in since_0_1(node, str(node.get("_target_", section)), section):
            with open_dict(node):
                del node[key]
            assert run_id.run_id(config) == now, key
            later.add(f"{section}.{key}".lstrip("."))
    since = {"objective_mode", "notes", "loss", "metrics", "data.sampler", "task.mixup", "task.cutmix", "task.sam"}
    assert since <= later


def test_a_new_group_is_left_out_where_its_choice_is_what_was_done_before(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    formerly = {"_target_": "torch.nn.CrossEntropyLoss"}

    @dataclass
    class WithGroup(settings.TrainConfig):
        cost: Any = field(default=None, metadata={settings.FORMERLY: formerly})

    monkeypatch.setattr(run_id, "TrainConfig", WithGroup)
    before = run_id.run_id(config)
    with open_dict(config):
        config.cost = {**formerly, "class_weights": None}
        assert run_id.run_id(config) == before
        config.cost.class_weights = "balanced"
        assert run_id.run_id(config) != before


def test_the_settings_of_version_0_1_that_are_off_are_in_the_identity(config: DictConfig) -> None:
    for name, other in (
        ("data.limit", 0),
        ("channels_last", False),
        ("trainer.profiler", False),
        ("optimizer.weight_decay", None),
    ):
        before = run_id.run_id(config)
        OmegaConf.update(config, name, other)
        assert run_id.run_id(config) != before, name


def test_the_identities_of_kept_runs_are_those_in_their_names() -> None:
    kept = sorted((untrusted.CONFIGS.parent / "docs" / "results").glob("*/*/config.yaml"))
    assert len(kept) > 100
    other = [file.parent.name for file in kept if run_id.run_id(OmegaConf.load(file)) != file.parent.name[-8:]]
    assert other == []


def test_early_stopping_changes_the_result(config: DictConfig) -> None:
    before = run_id.run_id(config)
    stopping = {"_target_": "labbook.callbacks.EarlyStopping", "monitor": "val/acc", "patience": 1}
    OmegaConf.update(config, "callbacks.early_stopping", stopping, force_add=True)
    assert run_id.run_id(config) != before


@pytest.mark.parametrize("values", [(0.1, 0.2), (1, 2), ("a", "b"), ([1], [1, 1]), (None, 1), (True, False)])
def test_other_values_are_another_identity(config: DictConfig, values: tuple[object, object]) -> None:
    with open_dict(config):
        config.model.extra = values[0]
        one = run_id.run_id(config)
        config.model.extra = values[1]
        assert run_id.run_id(config) != one


def test_the_order_of_settings_is_not_in_the_identity(config: DictConfig) -> None:
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    other = OmegaConf.create(dict(reversed(plain.items())))
    assert run_id.run_id(other) == run_id.run_id(config)
    assert len(run_id.run_id(config)) == 8


def test_folders_never_meet(tmp_path: Path) -> None:
    folders = [run_folder.make_run_folder(tmp_path / "runs", "same") for _ in range(3)]
    assert [folder.name for folder in folders] == ["same", "same_2", "same_3"]


def test_metrics_are_one_line_a_figure_and_readable(tmp_path: Path, config: DictConfig) -> None:
    with run_folder.RunFolder(tmp_path, config) as run:
        run.record({"test/acc": 0.5, "test/confusion_matrix": [[1, 2], [3, 4]]}, "finished")
    text = (tmp_path / "metrics.json").read_text()
    assert len(text.splitlines()) == 2 + len(json.loads(text))
    assert run_folder.read_metrics(tmp_path)["test/confusion_matrix"] == [[1, 2], [3, 4]]


def test_the_status_tells_how_it_ended(tmp_path: Path, config: DictConfig) -> None:
    def fails() -> None:
        with run_folder.RunFolder(tmp_path, config):
            assert run_folder.read_metrics(tmp_path)["status"] == "running"
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        fails()
    assert run_folder.read_metrics(tmp_path)["status"] == "failed"
    assert run_folder.read_metrics(tmp_path)["reason"] == "KeyError: 'a bug'"
    assert "Traceback" in (tmp_path / "train.log").read_text()
    with run_folder.RunFolder(tmp_path, config) as again:
        again.record({}, "finished")
    assert "reason" not in run_folder.read_metrics(tmp_path)


def test_a_finished_run_that_is_gone_on_with_is_not_finished_before_it_is_longer(
    tmp_path: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_folder.RunFolder(tmp_path, config) as run:
        run.record({}, "finished")
    original, handlers = run_folder.write_whole, list(logging.getLogger("labbook").handlers)

    def killed(path: Path, text: str, **_: bool) -> None:
        if path.name == run_folder.CONFIG:
            raise KeyboardInterrupt
        original(path, text)

    monkeypatch.setattr(run_folder, "write_whole", killed)
    with pytest.raises(KeyboardInterrupt), run_folder.RunFolder(tmp_path, config):
        pass
    assert run_folder.read_metrics(tmp_path)["status"] == "running"
    assert logging.getLogger("labbook").handlers == handlers


@pytest.mark.parametrize("also", [None, KeyError("a bug")], ids=["nothing else", "a failure"])
def test_what_cannot_be_closed_ends_a_run_as_interrupted_and_is_said(
    also: Exception | None, tmp_path: Path, config: DictConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "events")

    def fills_the_disk() -> None:
        with run_folder.RunFolder(tmp_path, config) as run:
            run.closing.callback(full)
            run.record({}, "finished")
            if also:
                raise also

    with pytest.raises(type(also) if also else OSError):
        fills_the_disk()
    assert run_folder.read_metrics(tmp_path)["status"] == ("failed" if also else "interrupted")
    assert capsys.readouterr().out.endswith(f"run: {tmp_path}\n")


def test_two_processes_do_not_work_on_one_run(tmp_path: Path, config: DictConfig) -> None:
    with run_folder.RunFolder(tmp_path, config) as run:
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with (
            pytest.raises(SettingError, match="is in use by another process"),
            run_folder.RunFolder(tmp_path, config),
        ):
            pass
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        with run_folder.RunFolder(tmp_path, config, leads=False):  # another process of the same run
            pass
        run.record({}, "finished")
    assert not (tmp_path / files.LOCK).exists()
    with run_folder.RunFolder(tmp_path, config):
        pass


def test_a_run_goes_on_where_nothing_can_be_locked(
    tmp_path: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: Any, **__: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(files.FileLock, "acquire", cannot)
    with run_folder.RunFolder(tmp_path, config) as run:
        run.record({}, "finished")
    assert run_folder.read_metrics(tmp_path)["status"] == "finished"


def test_a_run_whose_folder_is_taken_away_says_so(tmp_path: Path, config: DictConfig) -> None:
    folder = tmp_path / "run"
    folder.mkdir()

    def taken_away() -> None:
        with run_folder.RunFolder(folder, config) as run:
            shutil.rmtree(folder)
            run.record({}, "finished")

    with pytest.raises(TrainingError, match="run was deleted or moved while the run was writing to it"):
        taken_away()


def test_a_new_run_that_finds_no_room_to_begin_leaves_no_folder(
    tmp_path: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left on device") as error, run_folder.RunFolder(folder, config):
        pass
    assert error.value.filename == str(folder / "metrics.json")
    assert not folder.exists()


def test_a_run_that_finds_no_room_to_go_on_stays(
    tmp_path: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_folder.RunFolder(tmp_path, config) as run:
        run.record({"val/acc": 0.5}, "interrupted")
    before = {name: (tmp_path / name).read_bytes() for name in ("config.yaml", "metrics.json")}

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left on device"), run_folder.RunFolder(tmp_path, config):
        pass
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_a_damaged_metrics_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"status": "fini')
    assert run_folder.read_metrics(tmp_path) == {}


def test_processes_of_torchrun_must_know_their_folder(
    tmp_path: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv(run_folder.FOLDER_VARIABLE, raising=False)
    with pytest.raises(SettingError, match=f"set {run_folder.FOLDER_VARIABLE}=FOLDER"):
        run_folder.open_run(config)
    monkeypatch.setenv(run_folder.FOLDER_VARIABLE, str(tmp_path))
    assert not run_folder.open_run(config).leads
    monkeypatch.setenv("RANK", "0")
    first = run_folder.open_run(config)
    assert first.leads
    assert first.path == tmp_path
    assert os.environ[run_folder.FOLDER_VARIABLE] == str(tmp_path)


def test_a_network_of_a_family_names_the_folder_by_what_it_is() -> None:
    chosen = {
        "log_dir": "logs",
        "config_groups": {"model": "resnet18", "data": "digits"},
        "model": {"name": "resnet34"},
    }
    parent, name = run_folder.new_run_path(OmegaConf.create(chosen))
    assert parent == Path("logs/runs")
    assert name.endswith("_resnet34_digits")
