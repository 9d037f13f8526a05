"""The same command goes on: what is done stays, what is missing is added, what was cut short ends the same."""

import json
import signal
from pathlib import Path

import pytest

from labbook.sweeps import claims
from tests.conftest import Command
from tests.sweeps.running import LONGER, TINY, begun, done, figures_of, killed, metrics_of, run, runs_of
from tests.test_resume import signal_at

WIDTHS = "model.width=4,8"


@pytest.mark.usefixtures("drawn")
def test_each_run_has_a_folder_of_its_own_in_that_of_the_sweep(labbook: Command) -> None:
    sweep = done(labbook(*TINY, WIDTHS, "optimizer=sgd,adam"))
    assert sweep == Path("logs/sweeps/epochs-1_model-mlp_limit-100_precision-32_by_width_optimizer")
    names = {name.rpartition("-")[0] for name in runs_of(sweep)}
    assert names == {f"optimizer-{name}_width-{width}" for name in ("sgd", "adam") for width in (4, 8)}
    hashes = {name.rpartition("-")[2] for name in runs_of(sweep)}
    assert len(hashes) == 4
    assert all(len(text) == 8 for text in hashes)
    files = {path.name for path in sweep.iterdir() if path.is_file() and not path.name.startswith(".")}
    assert files == {"sweep.json", "summary.csv", "summary.md", "report.html"}
    assert not list(Path("logs").glob("runs/*"))


def test_the_same_command_again_runs_nothing(labbook: Command) -> None:
    first = labbook(*TINY, WIDTHS)
    sweep = done(first)
    files = {path: path.stat().st_mtime_ns for path in sweep.glob("*/*")}
    again = labbook(*TINY, WIDTHS)
    assert done(again) == sweep
    assert begun(again.out) == 0
    assert "of 2 runs: 2 finished already" in again.out
    assert "this command: 2 skipped as finished before" in again.out
    assert {path: path.stat().st_mtime_ns for path in sweep.glob("[!e]*/*")}.items() <= files.items()
    table = [line for line in first.out.splitlines() if line.startswith(("width", " "))]
    assert table == [line for line in again.out.splitlines() if line.startswith(("width", " "))]


SKIPPING = """
import sys
import train
from labbook import cli

try:
    sys.argv[0] = "train.py"
    cli.command_line(train.main)
finally:
    print("imported:", *sorted({"torch", "pytorch_lightning", "torchvision"} & sys.modules.keys()))
"""


def test_what_is_done_is_skipped_without_torch(labbook: Command, tmp_path: Path) -> None:
    sweep = done(labbook(*TINY, WIDTHS))
    again = run(*TINY, WIDTHS, cwd=tmp_path, code=SKIPPING)
    assert again.code == 0, again.err
    assert again.out.splitlines()[-1].split() == ["imported:"]
    assert str(sweep) in again.out
    assert again.err == ""


def test_new_values_add_runs_to_the_same_sweep(labbook: Command) -> None:
    sweep = done(labbook(*TINY, WIDTHS))
    before = runs_of(sweep)
    more = labbook(*TINY, "model.width=2,4,16,8")
    assert done(more) == sweep
    assert begun(more.out) == 2
    assert len(runs_of(sweep)) == 4
    assert before.items() <= runs_of(sweep).items()
    commands = json.loads((sweep / "sweep.json").read_text())["commands"]
    assert len(commands) == 2


def test_fewer_values_run_nothing_and_keep_the_others(labbook: Command) -> None:
    sweep = done(labbook(*TINY, "model.width=4,8,16"))
    fewer = labbook(*TINY, "model.width=4")
    assert fewer.code == 2  # nothing is swept over
    fewer = labbook(*TINY, "model.width=4,16")
    assert done(fewer) == sweep
    assert begun(fewer.out) == 0
    assert len(runs_of(sweep)) == 3


def test_settings_that_change_no_result_lead_to_the_same_runs(labbook: Command) -> None:
    sweep = done(labbook(*TINY, WIDTHS))
    again = labbook(*TINY, WIDTHS, "sweep.on_error=stop", "checkpoint.every_minutes=3", "data.resident=false")
    assert done(again) == sweep
    assert begun(again.out) == 0


def test_another_setting_is_another_sweep(labbook: Command) -> None:
    sweep = done(labbook(*TINY, WIDTHS))
    other = labbook(*TINY, WIDTHS, "optimizer.lr=0.01")
    assert done(other) != sweep
    assert begun(other.out) == 2


@pytest.mark.parametrize(("hook", "epoch", "batch"), [("on_train_epoch_end", 1, 0), ("on_train_batch_end", 1, 0)])
def test_an_interrupted_sweep_goes_on_and_ends_the_same(
    labbook: Command, monkeypatch: pytest.MonkeyPatch, hook: str, epoch: int, batch: int
) -> None:
    whole = done(labbook(*LONGER, WIDTHS, "log_dir=whole"))
    signal_at(monkeypatch, hook, epoch, batch, signal.SIGINT)
    stopped = labbook(*LONGER, WIDTHS)
    assert stopped.code == 130
    assert stopped.err == ""
    assert "the sweep is not done: the same command goes on with it" in stopped.out
    sweep = Path("logs/sweeps") / whole.name
    (interrupted,) = runs_of(sweep).values()
    assert interrupted["status"] == "interrupted"
    rest = labbook(*LONGER, WIDTHS)
    assert done(rest) == sweep
    assert "of 2 runs: 1 begun before" in rest.out
    assert " (was interrupted)" in rest.out
    assert "going on from epoch" in rest.out
    assert "this command: 2 finished, 1 of them resumed" in rest.out
    assert begun(rest.out) == 1
    assert sorted(item.get("resumed", 0) for item in runs_of(sweep).values()) == [0, 1]
    assert figures_of(sweep) == figures_of(whole)


def test_a_sweep_killed_at_any_moment_goes_on_and_ends_the_same(labbook: Command, tmp_path: Path) -> None:
    whole = done(labbook(*LONGER, WIDTHS, "log_dir=whole"))
    killed(*LONGER, WIDTHS, cwd=tmp_path, epoch=5)  # the second epoch of the second run
    sweep = Path("logs/sweeps") / whole.name
    assert sorted(item["status"] for item in runs_of(sweep).values()) == ["finished", "running"]
    assert claims.held(sweep) == {}
    rest = labbook(*LONGER, WIDTHS)
    assert done(rest) == sweep
    assert "of 2 runs: 1 finished already, 1 begun before" in rest.out
    assert "going on from epoch 2" in rest.out
    assert "epoch 3/3" in rest.out
    assert "epoch 2/3" not in rest.out
    assert "this command: 1 finished, 1 of them resumed, 1 skipped as finished before" in rest.out
    assert figures_of(sweep) == figures_of(whole)


def test_a_run_that_is_gone_is_done_again(labbook: Command) -> None:
    sweep = done(labbook(*TINY, WIDTHS))
    before = figures_of(sweep)
    gone = sweep / next(iter(before))
    for path in sorted(gone.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    again = labbook(*TINY, WIDTHS)
    assert done(again) == sweep
    assert begun(again.out) == 1
    assert figures_of(sweep) == before


DAMAGED = {
    "truncated": '{\n  "test/acc": 0.5,\n  "sta',
    "no json": "metrics\n",
    "empty": "",
    "a list": "[1, 2]",
    "no status": '{"test/acc": 0.5}',
    "an unknown status": '{"status": "done"}',
    "no objective": '{"status": "finished", "test/acc": 0.5}',
    "no finite objective": '{"status": "finished", "objective": NaN}',
    "an objective in words": '{"status": "pruned", "objective": "high"}',
}


def test_a_run_with_damaged_figures_is_done_again(labbook: Command) -> None:
    sweep = done(labbook(*TINY, "model.width=" + ",".join(str(4 + number) for number in range(len(DAMAGED)))))
    before = figures_of(sweep)
    for name, text in zip(before, DAMAGED.values(), strict=True):
        (sweep / name / "metrics.json").write_text(text)
    again = labbook(*TINY, "model.width=" + ",".join(str(4 + number) for number in range(len(DAMAGED))))
    assert done(again) == sweep
    assert begun(again.out) == len(DAMAGED)
    assert figures_of(sweep) == before
    for name, text in zip(before, DAMAGED.values(), strict=True):
        (kept,) = Path("logs/replaced", sweep.name).glob(f"{name}_*")
        assert (kept / "metrics.json").read_text() == text
        assert (kept / "checkpoints" / "last.ckpt").exists()
        assert f"its metrics.json is damaged, so it is done again; the old folder is kept as {kept}" in again.out


def test_starting_over_keeps_what_was_there(labbook: Command) -> None:
    sweep = done(labbook(*TINY, WIDTHS))
    before = runs_of(sweep)
    again = labbook(*TINY, WIDTHS, "sweep.rerun=true")
    assert done(again) == sweep
    assert begun(again.out) == 2
    assert figures_of(sweep).keys() == before.keys()
    (kept,) = Path("logs/replaced").iterdir()
    assert runs_of(kept) == before
    assert f"sweep.rerun=true: what was there is kept in {kept}" in again.out
    assert len(runs_of(sweep)) == 2


def test_starting_over_where_nothing_was(labbook: Command) -> None:
    ended = labbook(*TINY, WIDTHS, "sweep.rerun=true")
    assert begun(ended.out) == 2
    assert not Path("logs/replaced").exists()
    assert ended.code == 0


def test_what_is_being_worked_on_is_not_moved(labbook: Command) -> None:
    sweep = done(labbook(*TINY, WIDTHS))
    before = runs_of(sweep)
    name = next(iter(before))
    with claims.claimed(sweep, name):
        refused = labbook(*TINY, WIDTHS, "sweep.rerun=true")
    assert refused.code == 2
    assert refused.sentence.startswith(f"sweep.rerun=true would move what is being worked on: {name} by process ")
    assert runs_of(sweep) == before


def test_seeds_repeat_every_setting(labbook: Command) -> None:
    sweep = done(labbook(*TINY, WIDTHS, "seeds=2", "seed=7"))
    seeds = sorted((int(name[name.index("width-") + 6 :].split("_")[0].split("-")[0]), run["seed"])
                   for name, run in runs_of(sweep).items())  # fmt: skip
    assert seeds == [(4, 7), (4, 8), (8, 7), (8, 8)]
    more = labbook(*TINY, WIDTHS, "seeds=3", "seed=7")
    assert done(more) == sweep
    assert begun(more.out) == 2


def test_seeds_alone_are_a_sweep(labbook: Command) -> None:
    sweep = done(labbook(*TINY, "model.width=4", "seeds=2", "seed=0"))
    assert sorted(run["seed"] for run in runs_of(sweep).values()) == [0, 1]
    table = (sweep / "summary.csv").read_text().splitlines()
    assert len(table) == 2


def test_settings_that_come_to_the_same_run_are_done_once(labbook: Command) -> None:
    ended = labbook(*TINY, "optimizer.lr=0.001,1e-3,0.01")
    sweep = done(ended)
    assert begun(ended.out) == 2
    assert len(runs_of(sweep)) == 2
    (said,) = [line for line in ended.out.splitlines() if line.startswith("settings that come to the same run")]
    assert said.startswith("settings that come to the same run, which is done once: lr-")
    assert said.split(": ")[1] in runs_of(sweep)


def test_a_name_and_a_place_of_ones_own(labbook: Command) -> None:
    sweep = done(labbook(*TINY, WIDTHS, "sweep.name=mine", "log_dir=elsewhere"))
    assert sweep == Path("elsewhere/sweeps/mine")
    assert metrics_of(sweep / next(iter(runs_of(sweep))))["status"] == "finished"


def test_the_best_can_be_done_again(labbook: Command) -> None:
    ended = labbook(*TINY, WIDTHS)
    sweep = done(ended)
    (line,) = [line for line in ended.out.splitlines() if line.startswith("best: ")]
    command = line.rpartition("python train.py ")[2].split()
    assert command == [f"--config-dir={sweep}", "experiment=best"]
    best = max(runs_of(sweep).values(), key=lambda metrics: metrics["objective"])
    again = labbook(*command)
    assert again.code == 0, again.err
    assert metrics_of(again.run)["test/acc"] == best["test/acc"]
    assert metrics_of(again.run)["objective"] == best["objective"]
