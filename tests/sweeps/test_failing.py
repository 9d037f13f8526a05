"""A failure costs one run; the reason is one line, and the same command tries again."""

import errno
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labbook import experiment
from labbook.errors import TrainingError
from labbook.inference.evaluate import final_test
from labbook.runs.run_folder import saved_states
from labbook.training.checkpoint_io import AtomicCheckpointIO
from tests.conftest import Command, Ended
from tests.sweeps.running import LONGER, TINY, Figures, begun, done, figures_of, folder_of, metrics_of, runs_of

WIDTHS = "model.width=4,8,16"
TWO_WIDTHS = "model.width=4,8"
Evaluate = Callable[..., dict[str, Any]]


class Breaking:
    """The end of training, broken for runs of one width as often as it is told."""

    def __init__(self, width: int, times: int, error: Exception) -> None:
        self.width, self.times, self.error = width, times, error
        self.original: Evaluate = final_test.run_final_test

    def __call__(self, trainer: Any, model: Any, data: Any, config: Any) -> dict[str, Any]:
        if config.model.width == self.width and self.times:
            self.times -= 1
            raise self.error
        return self.original(trainer, model, data, config)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Breaking]:
    def broken(width: int = 8, times: int = 1, error: Exception | None = None) -> Breaking:
        breaking = Breaking(width, times, error or KeyError("a bug\nof two lines"))
        monkeypatch.setattr(final_test, "run_final_test", breaking)
        return breaking

    return broken


def failed(sweep: Path) -> Path:
    """The one run that failed."""
    (name,) = [name for name, metrics in runs_of(sweep).items() if metrics["status"] == "failed"]
    return sweep / name


def errors(ended: Ended) -> list[str]:
    return ended.err.strip().splitlines()


@pytest.mark.slow
def test_a_failure_in_the_middle_costs_one_run(labbook: Command, broken: Callable[..., Breaking]) -> None:
    broken()
    ended = labbook(*TINY, WIDTHS)
    assert ended.code == 1
    sweep = folder_of(ended)
    assert begun(ended.out) == 3
    run = failed(sweep)
    assert run.name.startswith("width-8-")
    reason = "KeyError: 'a bug\\nof two lines'"
    assert metrics_of(run)["reason"] == reason
    log = (run / "train.log").read_text()
    assert "Traceback (most recent call last)" in log
    assert "KeyError" in log
    assert errors(ended) == [
        f"failed: {reason} (traceback: {run / 'train.log'})",
        "error: 1 of 3 runs failed: use the same command to try again",
    ]
    assert "this command: 2 finished, 1 failed" in ended.out
    assert len((sweep / "summary.csv").read_text().splitlines()) == 4
    assert "Traceback" not in ended.out + ended.err


@pytest.mark.slow
def test_a_failed_run_is_tried_again_from_its_last_checkpoint(
    labbook: Command, undisturbed: Callable[..., Figures], broken: Callable[..., Breaking]
) -> None:
    whole = undisturbed(*TINY, WIDTHS)
    broken()
    sweep = folder_of(labbook(*TINY, WIDTHS))
    name = failed(sweep).name
    again = labbook(*TINY, WIDTHS)
    assert done(again) == sweep
    assert f"{name} (failed before: KeyError" in again.out
    assert begun(again.out) == 0  # it had trained to the end
    assert "this command: 1 finished, 1 of them resumed, 2 skipped as finished before" in again.out
    assert "reason" not in metrics_of(sweep / name)
    assert figures_of(sweep) == whole


@pytest.mark.slow
def test_failed_runs_may_be_left_so(labbook: Command, broken: Callable[..., Breaking]) -> None:
    broken()
    sweep = folder_of(labbook(*TINY, WIDTHS))
    before = runs_of(sweep)
    left = labbook(*TINY, "model.width=4,8,16,32", "sweep.retry_failed=false")
    assert left.code == 1
    assert begun(left.out) == 1
    assert "1 failed before and not retried (sweep.retry_failed=false)" in left.out
    assert before.items() <= runs_of(sweep).items()


@pytest.mark.slow
def test_a_run_may_be_tried_again_at_once(
    labbook: Command, undisturbed: Callable[..., Figures], broken: Callable[..., Breaking]
) -> None:
    whole = undisturbed(*TINY, TWO_WIDTHS)
    broken(times=2)
    ended = labbook(*TINY, TWO_WIDTHS, "sweep.max_failures=2")
    sweep = done(ended)
    assert "trying again (1 of 2)" in ended.out
    assert "trying again (2 of 2)" in ended.out
    assert len(errors(ended)) == 2
    assert figures_of(sweep) == whole


@pytest.mark.slow
def test_a_run_is_not_tried_more_often_than_asked(labbook: Command, broken: Callable[..., Breaking]) -> None:
    breaking = broken(times=5)
    ended = labbook(*TINY, "model.width=8", "sweep.name=mine", "sweep.max_failures=2")
    assert ended.code == 1
    assert breaking.times == 2
    assert len(errors(ended)) == 4


@pytest.mark.slow
def test_a_failure_may_stop_the_sweep(labbook: Command, broken: Callable[..., Breaking]) -> None:
    broken()
    ended = labbook(*TINY, WIDTHS, "sweep.on_error=stop")
    assert ended.code == 1
    sweep = folder_of(ended)
    assert begun(ended.out) == 2
    assert len(runs_of(sweep)) == 2
    stopped = "the sweep was stopped there (sweep.on_error=stop)"
    assert errors(ended)[-1] == f"error: 1 of 3 runs failed; {stopped}: use the same command to try again"
    again = labbook(*TINY, WIDTHS, "sweep.on_error=stop")
    assert done(again) == sweep
    assert len(runs_of(sweep)) == 3


def test_what_the_program_foresaw_is_told_in_its_own_words(labbook: Command, broken: Callable[..., Breaking]) -> None:
    broken(error=TrainingError("the loss is no longer finite: try a smaller optimizer.lr"))
    ended = labbook(*TINY, "model.width=8", "sweep.name=mine")
    assert ended.code == 1
    assert errors(ended)[0].startswith("failed: the loss is no longer finite: try a smaller optimizer.lr (traceback: ")


def test_a_diverging_run_fails_and_the_others_go_on(labbook: Command) -> None:
    ended = labbook(*TINY, "optimizer=sgd", "optimizer.lr=1e38,0.01", "data.batch_size=30")
    assert ended.code == 1
    sweep = folder_of(ended)
    assert sorted(run["status"] for run in runs_of(sweep).values()) == ["failed", "finished"]
    assert len(errors(ended)) == 2


@pytest.mark.slow
def test_a_failure_before_there_is_a_folder_is_recorded_too(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    original = experiment.build_model

    def build(config: Any, data: Any) -> Any:
        if config.model.width == 8:
            raise RuntimeError("no memory")
        return original(config, data)

    monkeypatch.setattr(experiment, "build_model", build)
    ended = labbook(*TINY, TWO_WIDTHS)
    assert ended.code == 1
    run = failed(folder_of(ended))
    assert metrics_of(run)["reason"] == "RuntimeError: no memory"
    assert "Traceback" in (run / "train.log").read_text()
    assert (run / "config.yaml").exists()
    monkeypatch.setattr(experiment, "build_model", original)
    assert done(labbook(*TINY, TWO_WIDTHS)) == run.parent


@pytest.mark.slow
def test_a_run_without_a_whole_checkpoint_is_done_again(labbook: Command, broken: Callable[..., Breaking]) -> None:
    whole = done(labbook(*TINY, WIDTHS, "log_dir=whole"))
    broken()
    run = failed(folder_of(labbook(*TINY, WIDTHS)))
    for state in saved_states(run):
        state.write_bytes(b"PK")
    again = labbook(*TINY, WIDTHS)
    assert done(again) == run.parent
    (kept,) = Path("logs/replaced", run.parent.name).iterdir()
    assert f"its checkpoints are damaged, so it runs again; the old folder is kept as {kept}" in again.out
    assert (kept / "checkpoints" / "last.ckpt").read_bytes() == b"PK"
    assert figures_of(run.parent) == figures_of(whole)


@pytest.mark.slow
def test_a_full_disk_stops_the_sweep_which_then_goes_on(
    labbook: Command, undisturbed: Callable[..., Figures], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = undisturbed(*LONGER, WIDTHS)
    original, saved = AtomicCheckpointIO.save_checkpoint, 0

    def save(
        self: AtomicCheckpointIO, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        nonlocal saved
        saved += Path(path).name == "last.ckpt"
        if saved == 5:  # in the middle of the second run
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        original(self, checkpoint, path, storage_options)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", save)
    full = labbook(*LONGER, WIDTHS)
    assert full.code == 2
    assert full.sentence.startswith("cannot write ")
    assert full.sentence.endswith("last.ckpt: No space left on device")
    assert "the sweep is not done: use the same command to resume" in full.out
    sweep = folder_of(full)
    assert len(runs_of(sweep)) == 2
    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", original)
    rest = labbook(*LONGER, WIDTHS)
    assert done(rest) == sweep
    assert begun(rest.out) == 1
    assert figures_of(sweep) == whole


@pytest.mark.parametrize("signum", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_second_command_tells_what_the_first_left(
    labbook: Command, monkeypatch: pytest.MonkeyPatch, signum: int
) -> None:
    def stopping(*_: object) -> None:
        signal.raise_signal(signum)

    monkeypatch.setattr(final_test, "run_final_test", stopping)
    stopped = labbook(*TINY, WIDTHS)
    assert stopped.code == 128 + signum
    (run,) = runs_of(folder_of(stopped)).values()
    assert run["status"] == "interrupted"
