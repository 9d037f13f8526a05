"""How a sweep's report groups its runs, of run folders made up on the spot."""

import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labbook.reports import sweep_page, table_cells
from labbook.reports.grouping import Mean, Report
from tests.cases import each_case
from tests.reports.made_sweeps import figures_of, in_memory


@given(
    st.dictionaries(st.integers(1, 9), st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=1, max_size=5),
    st.sampled_from(["val/acc", "val/loss"]),
)
def test_means_and_order(accuracies: dict[int, list[float]], objective: str) -> None:
    runs = [
        ({"model.depth": depth, "seed": seed}, figures_of(value, **{objective: value}))
        for depth, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    report = in_memory(runs, ["model.depth"], objective)
    assert len(report.rows) == len(accuracies)
    means = []
    for row in report.rows:
        values = accuracies[row.values[0]] if report.columns else next(iter(accuracies.values()))
        figure = row.exact("objective")
        assert figure is not None
        assert figure.n == len(values)
        assert figure.mean == pytest.approx(sum(values) / len(values))
        assert figure.sd == (pytest.approx(statistics.stdev(values)) if len(values) > 1 else None)
        means.append(figure.mean)
    assert means == sorted(means, reverse=objective == "val/acc")


@each_case(
    ("settings", "over", "columns"),
    [
        ([{}, {"seed": 1}], ["seed"], []),
        ([{"optimizer": "sgd", "optimizer.lr": 0.1}, {"optimizer.lr": 0.001}], ["optimizer"], ["optimizer"]),
        (
            [{"optimizer": "sgd", "optimizer.lr": 0.1}, {"optimizer.lr": 0.1}, {"optimizer.lr": 0.2}],
            ["optimizer", "optimizer.lr"],
            ["optimizer", "optimizer.lr"],
        ),
        # what comes with a choice of another group is no column, what differs beside it is one
        ([{"experiment": "a", "epochs": 2}, {"experiment": "b", "epochs": 9}], ["experiment"], ["experiment"]),
        (
            [{"model.depth": 1}, {"model.depth": 2, "epochs": 9}, {"model.depth": 2}],
            ["model.depth"],
            ["model.depth", "epochs"],
        ),
        ([{"logger": "none", "data.root": "x"}, {"sweep.name": "y"}], [], []),
        ([{"model.hidden": [8, 4]}, {"model.hidden": [8]}], ["model.hidden"], ["model.hidden"]),
        ([{"data.shuffle": True}, {"data.shuffle": 1}], ["data.shuffle"], ["data.shuffle"]),
        ([{"epochs": 2, "model.depth": 3}, {}], ["model.depth", "epochs"], ["model.depth", "epochs"]),
        # a setting that was added later and is off
        ([{}, {"data.added": None, "task.added": 0.0, "task.mixup": 0.0, "trainer.added": False}], [], []),
    ],
)
def test_columns(settings: list[dict[str, Any]], over: list[str], columns: list[str]) -> None:
    for each in settings:  # an experiment is a group, too
        if "experiment" in each:
            each["config_groups.experiment"] = each.pop("experiment")
    report = in_memory([(each, figures_of(0.5)) for each in settings], over)
    assert [column.name for column in report.columns] == columns


def test_short_names_only_where_they_tell_enough() -> None:
    runs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"model.depth": 1, "data.depth": 1}, {}),
        ({"model.depth": 2, "data.depth": 3, "model.n": 4}, {}),
        ({"model.depth": 2, "data.depth": 1, "model.n": 5, "optimizer.lr": 1.0}, {}),
        ({"model.depth": 2, "data.depth": 1, "model.n": 5, "callbacks.stop._target_": "EarlyStopping"}, {}),
    ]
    report = in_memory(runs, ["model.depth", "data.depth", "model.n", "optimizer.lr", "callbacks.stop._target_"])
    assert report.names == ("model.depth", "data.depth", "model.n", "lr", "stop")


def test_only_finished_runs_count() -> None:
    others = [({"seed": seed}, figures_of(0.1, status=state)) for seed, state in enumerate(("failed", "pruned"), 1)]
    report = in_memory([({}, figures_of(0.9)), *others], [])
    (row,) = report.rows
    assert row.metric("val/acc") == Mean(1, 0.9, None)
    assert table_cells.table_cells(report, row)[0].text == "1 of 3"
    assert table_cells.tally_runs(report) == "3 runs: 1 finished, 1 failed, 1 pruned"


def test_settings_without_a_figure_come_last() -> None:
    runs = [({"model.depth": 1}, {"status": "failed"}), ({"model.depth": 2}, figures_of(0.1))]
    assert [row.values for row in in_memory(runs, ["model.depth"]).rows] == [(2,), (1,)]


def test_published_figures_and_differences() -> None:
    entries = [
        {"system": "C2", "epochs": 2, "where": {"optimizer": "sgd"}, "final": {"test/acc": 0.5, "train/acc_eval": 0.7}},
        {"system": "C9", "final": {"train_seconds": 4.0}},
    ]
    runs = [({"optimizer": "sgd", "published": entries}, figures_of(0.6, **{"train/acc_eval": 0.9}))]
    runs += [({"published": entries}, figures_of(0.8)), ({"optimizer": "rmsprop"}, figures_of(0.7))]
    report = in_memory(runs, ["optimizer"])
    adam, rmsprop, sgd = report.rows
    assert (sgd.published, sgd.system, sgd.unlike) == ({"test/acc": 0.5, "train/acc_eval": 0.7}, "C2", True)
    assert sgd.difference("test/acc") == pytest.approx(0.09)
    assert sgd.difference("train/acc_eval") == pytest.approx(0.2)
    assert adam.difference("train_seconds") == pytest.approx(6.0)
    assert (rmsprop.published, rmsprop.difference("test/acc")) == ({}, None)
    assert table_cells.published_cell(sgd, "test/acc") == "0.5000† (+0.0900)"
    assert any("C9, C2" in note for note in table_cells.footnotes(report))


def test_training_accuracy_is_the_one_measured_after_training() -> None:
    report = in_memory([({}, figures_of(0.5, **{"train/acc_eval": 0.75}))], [])
    assert report.rows[0].metric("train/acc") == Mean(1, 0.75, None)
    assert any("measured after training" in note for note in table_cells.footnotes(report))


def test_no_validation_figures_where_that_was_the_test_set() -> None:
    on_test = {"data.validation": "test"}
    report = in_memory([(on_test, figures_of(0.5)), (on_test | {"epochs": 5}, figures_of(0.6))], ["epochs"])
    assert "val/acc" not in report.figures
    assert "test/acc" in report.figures
    mixed = in_memory([(on_test, figures_of(0.5)), ({}, figures_of(0.6))], ["data.validation"])
    assert "val/acc" in mixed.figures


def test_nothing_is_the_best_of_several_data_sets() -> None:
    runs = [
        ({"data.root": root, "epochs": epochs}, figures_of(accuracy))
        for root, epochs, accuracy in (("b", 1, 0.6), ("a", 1, 0.8), ("b", 2, 0.9), ("a", 2, 0.7), ("a", 3, 0.75))
    ]
    report = in_memory(runs, ["data.root", "epochs"])
    assert [row.values for row in report.rows] == [("a", 1), ("a", 3), ("a", 2), ("b", 2), ("b", 1)]
    assert [row.values for row in report.winners] == [("a", 1), ("b", 2)]
    assert report.best is None
    assert sweep_page.best_text(report) == []
    assert any("are of 2 data sets. Their metrics cannot be compared" in note for note in table_cells.footnotes(report))
    assert "No run has finished" not in sweep_page.report_html(report, [])
    one = in_memory([run for run in runs if run[0]["data.root"] == "b"], ["data.root", "epochs"])
    assert one.best is one.rows[0]
    assert not any("data sets" in note for note in table_cells.footnotes(one))


def test_another_class_of_data_is_another_data_set() -> None:
    def report_of(*targets: str) -> Report:
        runs = [
            ({"data": f"{number}", "data._target_": target}, figures_of(0.5)) for number, target in enumerate(targets)
        ]
        return in_memory(runs, ["data"])

    assert report_of("x", "y").best is None
    assert report_of("x", "x").best is not None


def test_figures_of_older_code_are_marked() -> None:
    runs = [({"epochs": 1}, figures_of(0.9, code_version="old")), ({"epochs": 2}, figures_of(0.8, code_version="new"))]
    report = in_memory(runs, ["epochs"])
    assert list(report.sweep.versions) == ["new", "old"]
    assert [row.old for row in report.rows] == [True, False]
    assert "* has results of other code than the newest, new (1): old (1)." in table_cells.footnotes(report)


def test_runs_are_ranked_by_the_metric_of_that_name() -> None:
    runs = [({"epochs": 1}, figures_of(0.8, objective=1.2)), ({"epochs": 2}, figures_of(0.9, objective=0.9))]
    assert [row.values for row in in_memory(runs, ["epochs"], "val/acc").rows] == [(2,), (1,)]
    unvalidated = figures_of(0.99, objective=0.99)
    del unvalidated["val/acc"]
    mixed = in_memory([*runs, ({"epochs": 3}, unvalidated)], ["epochs"], "val/acc")
    assert [row.values for row in mixed.ranked] == [(2,), (1,)]
    assert mixed.objective == "val/acc"
    assert in_memory([({"epochs": 3}, unvalidated)], ["epochs"], "val/acc").objective == "train/acc"


def test_settings_within_their_deviation_are_tied() -> None:
    accuracies = {1: (0.80, 0.90), 2: (0.85, 0.87), 3: (0.70, 0.72)}
    runs = [
        ({"epochs": epochs, "seed": seed}, figures_of(value))
        for epochs, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    report = in_memory(runs, ["epochs"], "val/acc")
    assert report.ranked[0].values == (2,)
    assert [row.values for row in report.tied] == [(1,)]


def test_a_run_of_before_a_setting_is_as_one_that_has_it_off() -> None:
    settings: list[dict[str, Any]] = [{}, {"data.added": None}, {"data.added": "some"}]
    report = in_memory([(each, figures_of(0.5)) for each in settings], ["data.added"], "val/acc")
    assert sorted((str(row.values[0]), len(row.finished)) for row in report.rows) == [("null", 2), ("some", 1)]


def test_an_absent_setting_is_told_from_any_value() -> None:
    mapped = {"data.normalize.mean": [0.5], "data.normalize.std": [0.25]}
    settings = [{"data.normalize": None}, mapped, {"data.normalize": None, "model.extra": 1}]
    report = in_memory([(each, figures_of(0.5)) for each in settings], [], "val/acc")
    assert sorted(column.name for column in report.columns) == ["data.normalize", "model.extra"]
    assert len(report.rows) == 3
    by_name = [dict(zip((column.name for column in report.columns), row.values, strict=True)) for row in report.rows]
    assert sorted(str(each["model.extra"]) for each in by_name) == ["1", "default", "default"]


def test_null_is_a_value() -> None:
    report = in_memory([({"data.limit": None}, figures_of(0.9)), ({"data.limit": 64}, figures_of(0.8))], ["data.limit"])
    assert [row.label for row in report.rows] == ["limit null", "limit 64"]
    assert [table_cells.table_cells(report, row)[0].text for row in report.rows] == ["null", "64"]
    assert table_cells.table_headings(report)[0].numeric
