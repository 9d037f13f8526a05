"""Nodes held against the signatures they name, and built."""

import re
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from labbook.config import instantiate
from labbook.errors import SettingError
from labbook.training.optimizers import make_optimizer
from tests.cases import each_case
from tests.config.things import HERE, SUPPLIED, node, refused
from tests.config.things import allow_things as allow_things

pytestmark = pytest.mark.usefixtures("allow_things")


@each_case(
    "settings",
    [
        {},
        {"count": 3},
        {"rate": 0.25},
        {"rate": 0},  # an int for a float
        {"flag": True},
        {"name": "3"},
        {"kind": "that"},
        {"maybe": None},
        {"maybe": 0},
        {"pair": [0.9, 0.999]},  # a list for a tuple
        {"pair": [1, 2]},
        {"many": [1, 2, 3]},
        {"one_or_many": "b"},
        {"one_or_many": ["a", "b"]},
        {"mapping": {"a": 1.5, "b": 2}},
        {"mapping": None},
        {"part": node("Part", size=2)},
        {"part": None},
        {"parts": [node("Part"), node("Part", size=3)]},
    ],
)
def test_what_fits_passes(settings: dict[str, Any]) -> None:
    instantiate.check_node_tree(OmegaConf.create(node(needed=1, **settings)), "thing", SUPPLIED)


@each_case(
    ("settings", "text"),
    [
        ({"count": 0}, "thing.count must be greater than 0, not 0"),
        ({"count": -1}, "thing.count must be greater than 0, not -1"),
        ({"count": 1.0}, "thing.count must be a whole number, not 1.0"),
        ({"count": 2.5}, "thing.count must be a whole number, not 2.5"),
        ({"count": "3"}, "thing.count must be a whole number, not '3'"),
        ({"count": True}, "thing.count must be a whole number, not true"),
        ({"count": None}, "thing.count must be a whole number, not null"),
        ({"count": [1]}, "thing.count must be a whole number, not [1]"),
        ({"rate": "0.5"}, "thing.rate must be a number, not '0.5'"),
        ({"rate": True}, "thing.rate must be a number, not true"),
        ({"rate": 1}, "thing.rate must be less than 1, not 1"),
        ({"rate": -0.1}, "thing.rate must be greater than or equal to 0, not -0.1"),
        ({"rate": float("nan")}, "thing.rate must be a finite number, not nan"),
        ({"rate": float("-inf")}, "thing.rate must be a finite number, not -inf"),
        ({"flag": 1}, "thing.flag must be true or false, not 1"),
        ({"flag": "yes"}, "thing.flag must be true or false, not 'yes'"),
        ({"name": 3}, "thing.name must be a text, not 3"),
        ({"kind": "those"}, "thing.kind must be 'this' or 'that', not 'those'"),
        ({"maybe": -1}, "thing.maybe must be greater than or equal to 0, not -1"),
        ({"maybe": "none"}, "thing.maybe must be a whole number, not 'none'"),
        ({"pair": 0.9}, "thing.pair must be a list, not 0.9"),
        ({"pair": [0.9]}, "thing.pair must have more entries, not [0.9]"),
        ({"pair": [0.9, 0.9, 0.9]}, "thing.pair must have fewer entries, not [0.9, 0.9, 0.9]"),
        ({"pair": [0.9, "b"]}, "thing.pair must be a number, not [0.9, 'b']"),
        ({"many": 3}, "thing.many must be a list, not 3"),
        ({"many": []}, "thing.many must have more entries, not []"),
        ({"many": [1, 0]}, "thing.many must be greater than 0, not [1, 0]"),
        ({"one_or_many": "c"}, "thing.one_or_many must be 'a' or 'b' or must be a list, not 'c'"),
        ({"one_or_many": ["a", "c"]}, "thing.one_or_many must be 'a' or 'b', not ['a', 'c']"),
        ({"mapping": "a"}, "thing.mapping must be a mapping, not 'a'"),
        ({"mapping": {"a": "b"}}, "thing.mapping must be a number, not {'a': 'b'}"),
        ({"part": 3}, "thing.part must be of another type, not 3"),
        ({"part": node("Part", size=0)}, "thing.part.size must be greater than 0, not 0"),
        ({"part": node("Part", sice=0)}, f"thing.part.sice is not a setting of {HERE}.Part; did you mean size?"),
        ({"parts": [node("Part"), node("Part", size=0)]}, "thing.parts[1].size must be greater than 0, not 0"),
        ({"mapping": {"a": node("Part", size=0)}}, "thing.mapping.a.size must be greater than 0, not 0"),
        ({"lr": 0.0}, "thing.lr must be greater than 0, not 0.0"),  # by name: torch does not annotate it
        ({"lr": "0.1"}, "thing.lr must be a number, not '0.1'"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(settings: dict[str, Any], text: str) -> None:
    assert refused(node(needed=1, **settings), SUPPLIED).startswith(text)


def test_a_limit_by_name_does_not_replace_the_annotated_type() -> None:
    trainer = {"_target_": "pytorch_lightning.Trainer", "accumulate_grad_batches": 1.5}
    assert refused(trainer) == "thing.accumulate_grad_batches must be a whole number, not 1.5"


def test_an_unknown_setting_is_refused_with_those_there_are() -> None:
    text = refused(node(needed=1, cuont=3), SUPPLIED)
    assert text.startswith(
        f"thing.cuont is not a setting of {HERE}.Thing; did you mean count? settings: count, flag, kind"
    )
    assert "given" not in text  # the program gives it


def test_a_missing_setting_is_refused() -> None:
    assert refused(node(), SUPPLIED) == f"thing.needed is missing: {HERE}.Thing needs it"
    assert refused(node(needed=1)) == f"thing.given is missing: {HERE}.Thing needs it"


def test_a_partial_node_may_lack_what_is_given_later() -> None:
    instantiate.check_node_tree(node(_partial_=True), "thing")
    assert "greater than 0" in refused(node(_partial_=True, count=0))


def test_schedules_of_torch_pass() -> None:
    node = {"_target_": "torch.optim.lr_scheduler.ExponentialLR", "_partial_": True, "gamma": 0.9}
    instantiate.check_node_tree(node, "scheduler")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    assert instantiate.build_object(node)(optimizer).get_last_lr() == [0.1]


def test_the_program_gives_a_schedule_its_optimizer_under_any_name() -> None:
    instantiate.check_node_tree(node("decay", power=2.0), "scheduler")
    with pytest.raises(SettingError, match=r"^scheduler\.power is missing: "):
        instantiate.check_node_tree(node("decay"), "scheduler")


def test_a_class_that_hands_its_options_on_takes_its_bases_settings() -> None:
    instantiate.check_node_tree(node("Derived", extra=1, needed=2, count=3), "thing", SUPPLIED)
    assert refused(node("Derived", needed=2, count=0), SUPPLIED) == "thing.count must be greater than 0, not 0"
    text = refused(node("Derived", needed=2, exrta=0), SUPPLIED)
    assert "did you mean extra?" in text
    assert "count" in text


def test_interpolations_are_checked_by_their_value() -> None:
    tree = OmegaConf.create({"seed": 0, "name": "a", "thing": node(needed="${seed}", count="${seed}")})
    with pytest.raises(SettingError, match=r"^thing\.count must be greater than 0, not 0$"):
        instantiate.check_node_tree(tree.thing, "thing", SUPPLIED)
    tree.thing.count = "${name}"
    with pytest.raises(SettingError, match=r"^thing\.count must be a whole number, not 'a'$"):
        instantiate.check_node_tree(tree.thing, "thing", SUPPLIED)
    tree.thing.count = 2
    instantiate.check_node_tree(tree.thing, "thing", SUPPLIED)


@pytest.mark.parametrize("item", [{}, {"a": 1, "b": [2]}, [1, 2]], ids=str)
def test_nodes_without_a_target_are_looked_into_and_no_more(item: Any) -> None:
    instantiate.check_node_tree(OmegaConf.create(item), "thing")


# Building --------------------------------------------------------------------------------------------------------


def test_what_is_checked_can_be_built() -> None:
    tree = OmegaConf.create(node(needed=1, pair=[1, 2], part=node("Part", size=7), mapping={"a": 1}))
    instantiate.check_node_tree(tree, "thing", SUPPLIED)
    thing = instantiate.build_object(tree, given="by the program")
    assert thing.settings["given"] == "by the program"
    assert thing.settings["part"].size == 7
    assert type(thing.settings["pair"]) is list  # plain data, not OmegaConf's own
    assert type(thing.settings["mapping"]) is dict


def test_nothing_is_built_from_nothing() -> None:
    assert instantiate.build_object(None) == {}
    assert instantiate.build_object({}) == {}


def test_of_a_group_each_node_is_built_and_what_is_null_left_out() -> None:
    built = instantiate.build_object(OmegaConf.create({"a": node("Part", size=2), "b": None, "c": {}}))
    assert list(built) == ["a"]
    assert built["a"].size == 2


@pytest.mark.parametrize("value", [3, "Progress", {"bar": True}, [1]], ids=str)
def test_what_is_no_node_is_not_built(value: Any) -> None:
    with pytest.raises(SettingError, match="_target_=CLASS") as error:
        instantiate.build_object(OmegaConf.create({"progress": value}))
    assert str(error.value).startswith("progress=")


def test_a_sentence_of_the_target_reaches_the_user() -> None:
    with pytest.raises(SettingError, match=r"^first=3 is more than second=2$"):
        instantiate.build_object(node("contrary", first=3))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"_target_": "pytorch_lightning.Trainer", "profiler": "fast"}, "profiler"),
        ({"_target_": "pytorch_lightning.Trainer", "strategy": "dpp", "accelerator": "cpu"}, "strategy='dpp'"),
        ({"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "x", "mode": "up"}, "min, max"),
    ],
    ids=lambda item: str(item.get("_target_")) if isinstance(item, dict) else "",
)
def test_what_a_library_refuses_is_said_in_its_words(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingError, match=re.escape(text)) as error:
        instantiate.build_object(settings)
    assert str(error.value).startswith(f"{settings['_target_']}: ")


def test_a_mistake_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(TypeError, match="missing 3 required"):
        instantiate.build_object({"_target_": "labbook.training.schedulers.cosine"})  # nobody gave it an optimizer


# Optimizers ------------------------------------------------------------------------------------------------------


def sgd(**settings: Any) -> dict[str, Any]:
    return {"_target_": "torch.optim.SGD", "_partial_": True, **settings}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (sgd(lr=0.1, momentum=0.0, nesterov=True), "Nesterov momentum requires a momentum"),
        ({"_target_": "torch.optim.Adam", "_partial_": True, "betas": [0.9, 1.5]}, "beta parameter at index 1: 1.5"),
        ({"_target_": "torch.optim.Adam", "_partial_": True, "fused": True, "foreach": True}, "`fused` and `foreach`"),
        ({"_target_": "torch.optim.RMSprop", "_partial_": True, "alpha": -1}, "alpha"),
    ],
    ids=lambda item: str(item.get("_target_")) if isinstance(item, dict) else "",
)
def test_optimizer_settings_that_do_not_go_together_are_refused_at_once(settings: dict[str, Any], text: str) -> None:
    assert text in refused(settings)
    assert refused(settings).startswith("thing: ")


@each_case("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "ASGD", "Rprop", "Adafactor"])
def test_torchs_optimizers_pass(name: str) -> None:
    instantiate.check_node_tree({"_target_": f"torch.optim.{name}", "_partial_": True, "lr": 0.01}, "optimizer")


@pytest.mark.parametrize("name", ["LBFGS", "Muon", "SparseAdam"])
def test_an_optimizer_of_some_parameters_or_with_another_step_is_refused(name: str) -> None:
    text = refused({"_target_": f"torch.optim.{name}", "_partial_": True, "lr": 0.01})
    assert text.startswith(f"thing._target_=torch.optim.{name} with these settings cannot train a network: ")
    assert text.endswith("; such as optimizer=adamw")


@pytest.mark.parametrize("option", ["foreach", "maximize"])
def test_options_of_an_optimizer_that_is_else_fused_pass(option: str) -> None:
    item = {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.01, option: True}
    instantiate.check_node_tree(item, "optimizer")
    made = make_optimizer(
        instantiate.build_object(item), [{"params": [torch.zeros(1, requires_grad=True)]}], fused=True
    )
    assert made.defaults["fused"] is (None if option == "foreach" else True)


@pytest.mark.parametrize("option", ["differentiable", "capturable"])
def test_options_with_which_a_step_fails_are_refused(option: str) -> None:
    text = refused({"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.01, option: True})
    assert "cannot train a network" in text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"lr": 0}, "thing.lr must be greater than 0, not 0"),
        ({"lr": -0.1}, "thing.lr must be greater than 0, not -0.1"),
        ({"lr": "abc"}, "thing.lr must be a number, not 'abc'"),
        ({"lr": float("inf")}, "thing.lr must be a finite number, not inf"),
        ({"lr": True}, "thing.lr must be a number, not true"),
        ({"momentum": -0.9}, "thing.momentum must be greater than or equal to 0, not -0.9"),
        ({"weight_decay": -1}, "thing.weight_decay must be greater than or equal to 0, not -1"),
        ({"nesterov": "no"}, "thing.nesterov must be true or false, not 'no': write thing.nesterov=false"),
    ],
    ids=str,
)
def test_torchs_settings_have_limits(settings: dict[str, Any], text: str) -> None:
    assert refused(sgd(**settings)) == text
