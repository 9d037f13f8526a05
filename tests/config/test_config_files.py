"""Every file in configs/, found by glob: composed, held against what it names, and with nothing left out."""

from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from labbook import experiment
from labbook.cli import command_line
from labbook.config import instantiate, unknown_keys
from labbook.config import schema as config
from labbook.config.schema import FILES, GROUPS, OPTIONAL, PAIRS, TrainConfig
from labbook.errors import SettingError
from labbook.installation import CONFIGS
from tests import composing
from tests.callbacks.test_unused_settings import unused_in_preset
from tests.cases import each_case
from tests.composing import composed
from tests.security.conftest import mostly_slow
from tests.sweeps.test_presets import OF_NO_LAB

FOUND = sorted(path.relative_to(CONFIGS) for path in CONFIGS.rglob("*.yaml"))
CHOICES = [
    (path.parent.name, path.stem)
    for path in FOUND
    if path.parent.name in GROUPS and (path.stem != "timm" or find_spec("timm"))  # the file of an extra
]
# A choice of each group at once, which takes no longer to compose than one.
ROWS = [
    {group: name for group, name in choices if name}
    for choices in zip_longest(
        *([choice for choice in CHOICES if choice[0] == group] for group in GROUPS if group not in FILES),
        fillvalue=("", ""),
    )
]
# Settings that the program itself turns into arguments of the target.
BY_THE_PROGRAM = {"loss": {"class_weights"}}
# What the program gives to a target, which a file therefore does not hold.
GIVEN = {"optimizer": {"params"}, "scheduler": {"optimizer", "epochs", "steps_per_epoch"}}


def settings_of(node: Any) -> dict[str, Any]:
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    beside = ("_target_", "_partial_", *experiment.OF_ANY_MODEL)
    return {key: value for key, value in plain.items() if key not in beside}


def signature(group: str, node: Any) -> dict[str, Any]:
    """The parameters of a node's target that a configuration may set."""
    parameters, _ = instantiate.target_parameters(instantiate.resolve_target(node["_target_"], group))
    given = experiment.SUPPLIED.get(group, {}).keys() - {"precision", "accelerator"} | GIVEN.get(group, set())
    return {key: item for key, item in parameters.items() if key not in given}


# The files -------------------------------------------------------------------------------------------------------


def test_there_is_a_folder_for_each_group_and_no_other_file() -> None:
    assert {str(path.parent) for path in FOUND} == {*GROUPS, PAIRS, "base", ".", "hydra/launcher", "hydra/sweeper"}
    assert [path.name for path in FOUND if path.parent == Path()] == ["train.yaml"]
    assert [path.name for path in FOUND if path.parent == Path("base")] == ["data.yaml", "torchvision.yaml"]
    assert {path.suffix for path in CONFIGS.rglob("*") if path.is_file()} == {".yaml"}


@each_case("path", FOUND)
def test_each_file_opens_with_what_it_is(path: Path) -> None:
    lines = (CONFIGS / path).read_text(encoding="utf-8").splitlines()
    comments = [line for line in lines[:2] if line.startswith("# ") and "@package" not in line]
    assert comments, "the first line, after an instruction to Hydra, is a comment: --help prints it"
    if path.parent.name in GROUPS:
        assert command_line.config_description(CONFIGS / path) == comments[0].removeprefix("# ")
        assert len(comments[0]) < 110


@each_case("path", [path for path in FOUND if path.parent.name in FILES])
def test_files_for_the_root_say_so(path: Path) -> None:
    assert (CONFIGS / path).read_text(encoding="utf-8").startswith("# @package _global_\n")


FOR_THE_ROOT = [choice for choice in CHOICES if choice[0] in FILES]


@pytest.mark.parametrize(
    ("group", "name"), [choice for choice in FOR_THE_ROOT if choice[0] != "sweep" or choice[1] in OF_NO_LAB]
)
def test_each_file_for_the_root_composes(group: str, name: str) -> None:
    tree = composing.run_of(f"{group}={name}")
    config.check_root(tree)
    experiment.check_experiment(tree)
    if group == "experiment":
        assert unused_in_preset(tree) == []


@pytest.mark.slow
@pytest.mark.parametrize(("group", "name"), FOR_THE_ROOT)
def test_each_file_for_the_root_sets_what_there_is(group: str, name: str) -> None:
    tree = composing.run_of(f"{group}={name}")
    groups = [f"{other}={tree.config_groups[other]}" for other in GROUPS if other not in FILES]
    unknown_keys.check_keys(composed(f"{group}={name}"), composed(*groups), set(), f"{group}={name}")


def quick(row: dict[str, str]) -> bool:
    """Whether more than another network of torchvision, whose files differ in a name, is in a row."""
    return row.keys() != {"model"} or row["model"] not in composing.OF_TORCHVISION


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=[] if quick(row) else pytest.mark.slow, id="-".join(row.values())) for row in ROWS]
)
def test_each_choice_composes_and_fits_what_it_names(row: dict[str, str]) -> None:
    tree = composed(*(f"{group}={name}" for group, name in row.items()), f"{PAIRS}=_")
    config.check_root(tree)
    experiment.check_experiment(tree)
    for group, name in row.items():
        fits_what_it_names(group, name, tree[group])


def fits_what_it_names(group: str, name: str, node: Any) -> None:
    if "_target_" in node:
        lists_the_settings_of_its_target(group, node)
        values_have_the_annotated_types(group, node)
    else:  # `none`, and callbacks: a node for each
        for key, each in (node or {}).items():
            known, listed = signature(group, each).keys(), settings_of(each).keys()
            assert listed <= known, key
            assert not each._target_.startswith("labbook.") or listed == known, key
            values_have_the_annotated_types(group, each)
    if group in ("model", "scheduler") and not varies(group, name):
        defaults = {key: plain(item.default) for key, item in signature(group, node).items()}
        assert defaults == settings_of(node), "the file and the code have the same defaults"


def lists_the_settings_of_its_target(group: str, node: Any) -> None:
    known = signature(group, node)
    listed = settings_of(node).keys() - BY_THE_PROGRAM.get(group, set())
    assert listed <= known.keys()
    if group in ("model", "data", "scheduler"):
        assert listed == known.keys(), "every setting can be set without a +"
    if group == "optimizer":
        assert {"lr", "weight_decay"} <= listed


def values_have_the_annotated_types(group: str, node: Any) -> None:
    hints = instantiate.target_parameters(instantiate.resolve_target(node._target_, group))[1]
    values = settings_of(node)
    if group == "trainer":  # whose `auto` is ours
        values |= {"precision": "32-true", "accelerator": "cpu"}
    for key, value in values.items():
        if key in BY_THE_PROGRAM.get(group, set()):
            continue
        assert key in hints or not node._target_.startswith("labbook."), f"{key} is not annotated"
        instantiate.check_value(hints.get(key, Any), value, f"{group}.{key}")


def varies(group: str, name: str) -> bool:
    """Whether a file changes some settings of another one."""
    return "defaults:" in (CONFIGS / group / f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", mostly_slow([name for group, name in CHOICES if group == "experiment"], 5))
def test_each_experiment_can_be_tried_on_one_batch(name: str) -> None:
    tree = composed(f"experiment={name}", "debug=fast")
    config.check_root(tree)
    experiment.check_experiment(tree)
    assert (tree.epochs, tree.trainer.limit_train_batches) == (1, 1)


@pytest.mark.parametrize("name", mostly_slow([path.stem for path in FOUND if path.parent.name == PAIRS], 2))
def test_a_pair_has_its_settings_by_default_and_yields_to_the_command_line(name: str) -> None:
    both = [
        (model, data)
        for group, model in CHOICES
        for other, data in CHOICES
        if (group, other) == ("model", "data") and f"{model}_{data}" == name
    ]
    assert len(both) == 1
    model, data = both[0]
    chosen = (f"model={model}", f"data={data}")
    with_pair = composed(*chosen)
    without = composed(*chosen, f"{PAIRS}=_")
    file = composing.file(f"{PAIRS}/{name}.yaml")
    ((group, settings),) = file.items()
    ((key, value),) = settings.items()
    assert with_pair[group][key] == value != without[group][key]
    assert unknown_keys.unknown_keys(file, OmegaConf.to_container(without, resolve=False)) == []
    assert composed(*chosen, f"{group}.{key}=48")[group][key] == 48


def test_the_options_of_all_data_sets_have_the_defaults_of_the_code() -> None:
    base = composing.file("base/data.yaml")
    parameters, _ = instantiate.target_parameters(
        instantiate.resolve_target("labbook.data.datamodule.ImageDataModule", "data")
    )
    by_program = experiment.SUPPLIED["data"]
    assert {key: plain(item.default) for key, item in parameters.items() if key not in by_program} == base


def test_the_options_of_torchvisions_networks_have_the_defaults_of_the_code() -> None:
    base = composing.file("base/torchvision.yaml")
    parameters = signature("model", base)
    assert {key: item.default for key, item in parameters.items() if key != "name"} == settings_of(
        OmegaConf.create({key: value for key, value in base.items() if key != "name"})
    )


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# The root --------------------------------------------------------------------------------------------------------


def test_the_root_file_lists_every_setting_of_the_schema() -> None:
    listed = composing.file("train.yaml")
    schema = OmegaConf.structured(TrainConfig)
    # the group sweep holds settings of the root, among them those of the same name
    own = {str(key) for key in schema} - set(GROUPS) - {"config_groups"} | {"sweep"}
    assert listed.keys() - {"defaults", "hydra"} == own
    assert listed["sweep"].keys() == {str(key) for key in schema.sweep} - {"job"}


def test_the_root_file_and_the_schema_have_the_same_defaults() -> None:
    tree, schema = composed(), OmegaConf.structured(TrainConfig)
    names = [str(key) for key in schema if key not in GROUPS or key == "sweep"]
    assert {name: tree[name] for name in names} == {name: schema[name] for name in names}


def test_each_group_has_a_default_that_exists() -> None:
    tree = composed()
    for group in GROUPS:
        if group not in FILES:
            assert tree[group]._target_ if group not in OPTIONAL else tree[group] or group == "metrics"


@each_case(
    ("name", "value", "text"),
    [
        ("seed", -1, "seed must be at least 0, not -1"),
        ("seed", 2**32, "seed must be at most 4294967295, not 4294967296"),
        ("epochs", 0, "epochs must be at least 1, not 0"),
        ("epochs", -5, "epochs must be at least 1, not -5"),
        ("task.label_smoothing", 1.0, "task.label_smoothing must be less than 1, not 1.0"),
        ("task.label_smoothing", -0.1, "task.label_smoothing must be at least 0, not -0.1"),
        ("task.label_smoothing", float("nan"), "task.label_smoothing must be at least 0, not nan"),
        ("checkpoint.every_minutes", 0, "checkpoint.every_minutes must be more than 0, not 0.0"),
    ],
)
def test_root_values_out_of_range_are_refused(name: str, value: float, text: str) -> None:
    tree = composed()
    OmegaConf.update(tree, name, value)
    with pytest.raises(SettingError) as error:
        config.check_root(tree)
    assert str(error.value) == text


@each_case(
    ("name", "value"),
    [("seed", 0), ("seed", 2**32 - 1), ("epochs", 1), ("task.label_smoothing", 0), ("task.label_smoothing", 0.99)],
)
def test_root_values_at_their_limits_are_taken(name: str, value: float) -> None:
    tree = composed()
    OmegaConf.update(tree, name, value)
    config.check_root(tree)


@each_case("group", [group for group in GROUPS if group not in (*OPTIONAL, *FILES)])
@each_case("value", [None, "mlp", 3, [1], {"depth": 3}])
def test_a_group_that_holds_no_choice_is_refused(group: str, value: Any) -> None:
    tree = composed()
    tree[group] = value
    with pytest.raises(
        SettingError, match=rf"^{group} must be one of its choices and not .*'- override /{group}: CHOICE'"
    ):
        config.check_root(tree)


@each_case("group", OPTIONAL)
def test_an_optional_group_may_be_empty(group: str) -> None:
    tree = composed()
    tree[group] = None
    config.check_root(tree)
    tree[group] = "adam"
    with pytest.raises(SettingError, match=f"^{group} must be one of its choices and not adam"):
        config.check_root(tree)


def test_a_group_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingError, match=r"^optimizer is not set: give optimizer=VALUE$"):
        config.check_root(composed("~optimizer"))
