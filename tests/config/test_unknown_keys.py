"""Keys that files bring in are known ones, or are refused with the nearest that are."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from labbook.config import hydra_errors, known_settings, unknown_keys
from labbook.config.arguments import choice_files
from labbook.config.schema import GROUPS
from labbook.errors import SettingError
from tests.composing import composed


@pytest.mark.parametrize(
    ("added", "unknown"),
    [
        ({"epohcs": 3}, ["epohcs"]),
        ({"task": {"label_smoothin": 0.1}}, ["task.label_smoothin"]),
        ({"model": {"paddin": 1, "padding": 3}}, ["model.paddin"]),
        ({"callbacks": {"pictures": {"sampels": 1}}}, ["callbacks.pictures.sampels"]),
        ({"callbacks": {"more": {"_target_": "labbook.callbacks.Progress"}}}, []),
        ({"callbacks": {"more": {"bar": True}}}, ["callbacks.more"]),
        ({"model": {"_target_": "labbook.models.mlp.MLP", "width": 3}}, []),  # for the signature to judge
        ({"data": {"augment": [{"crop": 3}]}, "epochs": 3}, []),
        ({"published": {"final": {"test/acc": 0.9}}}, []),
    ],
    ids=str,
)
def test_keys_that_no_file_knows_are_found(added: dict[str, Any], unknown: list[str]) -> None:
    reference = OmegaConf.to_container(composed())
    assert isinstance(reference, dict)
    tree = OmegaConf.to_container(OmegaConf.merge(OmegaConf.create(reference), added))
    assert unknown_keys.unknown_keys(tree, reference) == unknown


@pytest.mark.parametrize("added", [{"model.paddin"}, {"model"}, {"model.paddin.deeper"}])
def test_keys_that_the_command_line_adds_on_purpose_pass(added: set[str]) -> None:
    reference = composed()
    tree = composed("+model.paddin=3")
    unknown_keys.check_keys(tree, reference, added, "debug=fast")
    with pytest.raises(SettingError) as error:
        unknown_keys.check_keys(tree, reference, {"model.padd", "optimizer.paddin"}, "debug=fast")
    text = "debug=fast: model.paddin is not a setting; did you mean padding? settings here: activation, freeze, padding"
    assert str(error.value) == f"{text}, weights"


def test_at_the_root_the_groups_are_settings_too_and_notes_are_none() -> None:
    text = unknown_keys.unknown_setting_message("expriment", composed())
    assert text.startswith("expriment is not a setting; did you mean experiment? settings here: ")
    listed = text.rpartition(": ")[2].split(", ")
    assert {*GROUPS, "seed", "epochs", "resume"} <= set(listed)
    assert "config_groups" not in listed


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("model.patch_size", "model=vit, vit_tiny"),  # in files of theirs
        ("optimizer.momentum", "optimizer=keras_rmsprop, rmsprop, sgd, sgd_momentum"),
        ("callbacks.ema.decay", "callbacks=ema"),
    ],
)
def test_the_choices_that_have_a_setting_are_named(name: str, others: str) -> None:
    assert hydra_errors.note_on_other_choices(name) == f"; it is a setting of {others}"


def test_a_setting_of_files_that_files_begin_with_is_found() -> None:
    assert hydra_errors.note_on_other_choices("model.freeze").endswith(", vgg16_bn, vit_b_16")
    assert hydra_errors.note_on_other_choices("data.batch_size").count(", ") == len(choice_files("data")) - 1


@pytest.mark.parametrize(
    "content",
    [
        "a: [",
        "- a",
        "just words",
        "defaults:",
        "defaults: ['']",
        "defaults: [gone, optional other: x]",
        "defaults: [mine, net1.5]",
        "\udcff",
    ],
)
def test_a_file_that_is_none_spoils_no_sentence(content: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    (tmp_path / "net1.5.yaml").write_text("width: 3")
    assert known_settings.keys_in_file(file) == ({"width"} if "net1.5" in content else set())


@pytest.mark.parametrize("name", ["model.nothing", "experiment.published", "task.sam", "epochs", "model"])
def test_no_choice_has_what_is_none_of_its_settings(name: str) -> None:
    assert hydra_errors.note_on_other_choices(name) == ""


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lr", "optimizer.lr"),
        ("batch_size", "data.batch_size"),
        ("model.lr", "optimizer.lr"),
        ("optimizer.backbone_lr_factor", "task.backbone_lr_factor"),
        ("data.epochs", "epochs"),
        ("data.name", "sweep.name"),
        ("task.every", "callbacks.lookahead.every"),
        ("model.patience", "callbacks.early_stopping.patience or task.patience"),
    ],
)
def test_a_setting_that_is_elsewhere_is_named(name: str, meant: str) -> None:
    reference = composed("callbacks=lookahead", "+callbacks.early_stopping.patience=3", "+task.patience=3")
    reference.config_groups = {"patience": 3}  # the program's own note
    assert f"{name} is not a setting; did you mean {meant}? settings here: " in unknown_keys.unknown_setting_message(
        name, reference
    )


def test_a_name_inside_a_setting_that_is_null_says_how_to_write_it() -> None:
    assert unknown_keys.null_parent_message("data.sampler._target_", composed()) == (
        'data.sampler is null and has no settings: write +data.sampler._target_=VALUE, or "data.sampler={_target_:'
        ' VALUE}"'
    )
    assert unknown_keys.null_parent_message("data.augment.flip", composed()) == ""
    assert unknown_keys.null_parent_message("data.batchsize", composed()) == ""
    assert unknown_keys.null_parent_message("scheduler.lr", composed("scheduler=none")) == ""
