"""How many threads a run computes with: chosen, recorded, and used again when it is resumed."""

import logging
import os
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning_fabric.utilities.distributed import _set_num_threads_if_needed

from labbook import experiment
from labbook.errors import SettingError
from labbook.runs.run_session import RunSession
from labbook.training import hardware
from labbook.training.hardware import DeviceChoice, Machine
from labbook.training.threads import computing_with, use_threads
from tests import composing
from tests.models.test_architectures import spec_of

CORES = 4


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(CORES)), raising=False)
    monkeypatch.setattr(hardware, "describe_machine", lambda: Machine(cpu_cores=CORES))


def chosen(*overrides: str) -> int | None:
    config = composing.composed("data=mnist", *overrides)
    return hardware.choose_for_run(config, experiment.build_model(config, spec_of(1, 28, 10))).threads


@pytest.mark.parametrize(
    ("overrides", "threads"),
    [
        (("model=mlp", "data.batch_size=32"), 1),  # 3.3 million multiply-adds
        (("model=mlp", "data.batch_size=128"), None),  # 13 million
        (("model=lenet5", "data.batch_size=8"), 1),  # 3.4 million; the dense layers alone have 0.5
        (("model=lenet5", "data.batch_size=64"), None),  # 27 million, with fewer weights than the MLP
        (("model=mlp", "data.batch_size=32", "threads=2"), None),  # as set
    ],
)
def test_one_thread_for_tiny_steps(overrides: tuple[str, ...], threads: int | None) -> None:
    assert chosen(*overrides) == threads


def test_a_number_in_the_environment_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert chosen("model=mlp", "data.batch_size=32") is None


def used(asked: int | None, earlier: int | None = None, choice: int | None = None, processes: int = 1) -> int:
    """The number that torch uses within a run; the run began with `earlier`."""
    folder = SimpleNamespace(
        config=SimpleNamespace(threads=asked, trainer={"devices": processes}),
        state=Path("last.ckpt") if earlier else None,
        metrics={"threads": earlier} if earlier else {},
    )
    before, variable = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    with ExitStack() as closing:
        run = cast(RunSession, SimpleNamespace(folder=folder, closing=closing))
        use_threads(run, DeviceChoice("cpu", "32-true", True, "", threads=choice))
        _set_num_threads_if_needed(2)  # Lightning, before it trains with two processes
        threads = torch.get_num_threads()
        assert os.environ["OMP_NUM_THREADS"] == str(threads)  # for the other processes
        assert cast(dict[str, Any], folder.metrics)["threads"] == threads
    assert (torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")) == (before, variable)
    return threads


def test_what_counts_first(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert used(None) == torch.get_num_threads()
    assert used(None, choice=1) == 1
    assert used(None, earlier=3, choice=1) == 3
    assert used(3, choice=1) == 3
    assert not caplog.records
    with caplog.at_level(logging.WARNING, logger="labbook"):
        assert used(2, earlier=3) == 2
        assert used(None, earlier=CORES + 1, choice=1) == 1  # another machine
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert used(None, earlier=3) == torch.get_num_threads()
    notes = [record.getMessage() for record in caplog.records]
    assert notes[0] == "note: 2 threads, and 3 before: a resumed run has the same bits only with as many"
    assert len(notes) == 3


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    with computing_with(CORES):
        monkeypatch.delenv("OMP_NUM_THREADS")
        assert used(None, processes=2) == CORES // 2
        assert used(3, processes=2) == 3
        monkeypatch.setenv("OMP_NUM_THREADS", str(CORES))  # of the user, or of the process that started this one
        assert used(None, processes=2) == CORES


def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(SettingError, match=r"^threads=5: this process has 4 cores, so use 1 to 4, or null$"):
        hardware.check_threads(5)
