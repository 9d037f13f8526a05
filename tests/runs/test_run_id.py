"""Which settings decide the identity of a run."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf, open_dict

from labbook.config import arguments, renames
from labbook.config import schema as settings
from labbook.config.frozen_settings import FROZEN
from labbook.config.untrusted import LOADER
from labbook.installation import CONFIGS
from labbook.runs import run_id
from labbook.runs.run_folder import CHECKPOINTS, CONFIG, LAST
from tests.cases import each_case
from tests.composing import composed, file

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
    "threads": 1,
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
    later, seen = set(), set()
    for group in ("model", "data", "optimizer", "scheduler", "callbacks"):
        for path in arguments.choice_files(group):
            own = file(f"{group}/{path.stem}.yaml")  # which takes no time to compose
            if (kind := str(own.get("_target_") or own.get("defaults"))) in seen and group != "callbacks":
                continue  # the same settings as another choice
            seen.add(kind)
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
    kept = sorted((CONFIGS.parent / "docs" / "results").glob("*/*/config.yaml"))
    assert len(kept) > 100
    configs = {file.parent.name: OmegaConf.create(yaml.load(file.read_text(), Loader=LOADER)) for file in kept}
    assert [name for name, config in configs.items() if run_id.run_id(config) != name[-8:]] == []


def test_early_stopping_changes_the_result(config: DictConfig) -> None:
    before = run_id.run_id(config)
    stopping = {"_target_": "labbook.callbacks.EarlyStopping", "monitor": "val/acc", "patience": 1}
    OmegaConf.update(config, "callbacks.early_stopping", stopping, force_add=True)
    assert run_id.run_id(config) != before


@each_case("values", [(0.1, 0.2), (1, 2), ("a", "b"), ([1], [1, 1]), (None, 1), (True, False)])
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


def test_the_content_of_initial_weights_is_part_of_the_identity(tmp_path: Path) -> None:
    file, run = tmp_path / "weights.pth", tmp_path / "run"

    def id_with(source: Path | str) -> str:
        return run_id.run_id(run_id.note_own_files(composed(f"model.weights={source}")))

    missing = id_with(file)
    file.write_bytes(b"one")
    one = id_with(file)
    file.write_bytes(b"two")
    assert len({missing, one, id_with(file)}) == 3
    file.write_bytes(b"one")
    assert id_with(file) == one
    (run / CHECKPOINTS).mkdir(parents=True)
    (run / CONFIG).touch()
    ids = []
    for content in (b"one", b"two"):
        (run / CHECKPOINTS / LAST).write_bytes(content)
        ids.append(id_with(run))
    assert len(set(ids)) == 2
    plain = composed("model.weights=https://example.org/weights.pth")
    assert run_id.run_id(run_id.note_own_files(plain.copy())) == run_id.run_id(plain)
