"""Published figures: which of them a run is held against, and what is said of it."""

import re
from typing import Any

import pytest
from omegaconf import OmegaConf

from labbook.config import published
from labbook.errors import SettingError
from tests.cases import each_case
from tests.conftest import Command

CONFIG = {
    "model": {"width": 50, "hidden": [128, 64], "activation": "relu"},
    "optimizer": {"lr": 0.1},
    "data": {"shuffle": False, "limit": None},
    "epochs": 10,
    "config_groups": {"model": "mlp", "optimizer": "sgd"},
}


def row(system: str = "X", **more: Any) -> dict[str, Any]:
    return {"system": system, "final": {"test/acc": 0.9}, **more}


@each_case(
    ("where", "holds"),
    [
        ({}, True),
        ({"optimizer": "sgd"}, True),
        ({"optimizer": "adam"}, False),
        ({"optimizer": ["adam", "sgd"]}, True),
        ({"optimizer": ["adam"]}, False),
        ({"optimizer.lr": 0.1, "epochs": 10}, True),
        ({"optimizer.lr": 0.01, "epochs": 10}, False),
        ({"epochs": 10.0, "model.width": 50.0}, True),
        ({"model.hidden": [128, 64]}, True),
        ({"model.hidden": [64, 128]}, False),
        ({"data.shuffle": False}, True),
        ({"data.shuffle": True}, False),
        ({"optimizer": "sgd", "model": "mlp", "model.activation": "relu"}, True),
        ({"model.depth": 3}, False),
        ({"experiment": "a3"}, False),
        ({"epochs.more": 3}, False),
    ],
)
def test_an_entry_holds_where_its_choices_and_settings_are_those_of_the_run(where: dict[str, Any], holds: bool) -> None:
    only = row(where=where)
    assert published.matching_entry(CONFIG | {"published": [only]}) == (only if holds else None)


def test_the_first_entry_that_holds_is_taken() -> None:
    rows = [row("A", where={"epochs": 2}), row("B", where={"epochs": 10}), row("C")]
    assert published.matching_entry(CONFIG | {"published": rows}) == rows[1]


def test_one_entry_alone_is_a_list_and_nothing_is_none() -> None:
    assert published.matching_entry(CONFIG | {"published": row()}) == row()
    assert published.matching_entry(CONFIG | {"published": None}) is None
    assert published.matching_entry(CONFIG) is None


@each_case(
    ("wrong", "where"),
    [
        (3, r"\[0\]: "),
        ("C2", r"\[0\]: "),
        ([row(), 3], r"\[1\]: "),
        ({"system": "C2"}, r"\[0\]\.final: Field required"),
        ({"final": {"test/acc": 0.9}}, r"\[0\]\.system: Field required"),
        (row(final=0.9), r"\[0\]\.final: "),
        (row(final={"test/acc": "0.9"}), r"\[0\]\.final\.test/acc: "),
        ([row(), row(epohcs=3)], r"\[1\]\.epohcs: "),
        (row(epochs=0), r"\[0\]\.epochs: "),
        (row(where=["epochs"]), r"\[0\]\.where: "),
        (row(by_epoch={"val/acc": 0.9}), r"\[0\]\.by_epoch\.val/acc: "),
    ],
)
def test_what_is_no_list_of_entries_is_refused(wrong: Any, where: str) -> None:
    with pytest.raises(SettingError, match=rf"^published{where}.*; an entry is \{{system: NAME, final: ") as error:
        published.check_published(OmegaConf.create({"published": wrong}).published)
    assert "\n" not in str(error.value)
    assert "Entry" not in str(error.value)


@pytest.mark.parametrize(
    "right", [None, [], row(), [row(), row(epochs=3, where={"a.b": [1]}, by_epoch={"val/acc": [0, 0.5]})]], ids=str
)
def test_lists_of_entries_are_taken(right: Any) -> None:
    published.check_published(OmegaConf.create({"published": right}).published)


def test_figures_that_were_measured_are_compared() -> None:
    final = {"test/acc": 0.92, "train_seconds": 100, "train/acc_eval": 0.9}
    metrics = {"epochs": 10, "test/acc": 0.9312, "train_seconds": 61.26}
    assert published.compare_with_published(CONFIG | {"published": row(final=final)}, metrics) == [
        "test/acc  published 0.9200  ours 0.9312  (+0.0112)",
        "train_seconds  published 100.0  ours 61.3  (-38.7)",
    ]
    assert published.compare_with_published(CONFIG | {"published": row(epochs=15)}, metrics) == [
        "test/acc  published 0.9000  ours 0.9312  (+0.0312, after 15 epochs there and 10 here)"
    ]
    assert published.compare_with_published(CONFIG | {"published": row(where={"epochs": 15})}, metrics) == []


def test_a_run_says_the_figures_of_its_own_setting(labbook: Command) -> None:
    rows = "[{system: X, where: {optimizer: sgd}, final: {test/acc: 0.25}}, {system: Y, final: {val/acc: 0.5}}]"
    quick = ("model=mlp", "epochs=1", "callbacks=none", "logger=none", f"published={rows}")
    ended = labbook(*quick, "optimizer=sgd")
    assert re.findall(r"^(\S+)  published (\S+)  ours", ended.out, re.MULTILINE) == [("test/acc", "0.2500")]
    ended = labbook(*quick)
    assert re.findall(r"^(\S+)  published (\S+)  ours", ended.out, re.MULTILINE) == [("val/acc", "0.5000")]


def test_a_run_with_spoiled_figures_is_refused(labbook: Command) -> None:
    ended = labbook("published={system: X}")
    assert ended.code == 2
    assert ended.sentence.startswith("published[0].final: Field required")
