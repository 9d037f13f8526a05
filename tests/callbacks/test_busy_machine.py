"""A note if other programs use the cores of a training."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from labbook.callbacks import busy_machine
from labbook.callbacks.busy_machine import BusyMachine

TICKS = 100  # a second
ALONE = SimpleNamespace(world_size=1)


class Machine:
    """Two cores, one of which runs this program; `busy` is the use of both since the last call, in cores."""

    def __init__(self, stat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stat, self.clock, self.own = stat, 0.0, 0.0
        self.ticks = 0
        monkeypatch.setattr(busy_machine, "STAT", stat)
        monkeypatch.setattr(busy_machine, "GROUP", stat.with_name("cgroup"))
        monkeypatch.setattr(busy_machine, "LIMITS", stat.with_name("limits"))
        stat.with_name("cgroup").write_text("5:memory:/a\n2:cpu,cpuacct:/a/b\n0::/c/d\n")
        monkeypatch.setattr("os.sched_getaffinity", lambda _: {1, 2}, raising=False)
        monkeypatch.setattr("os.sysconf", lambda _: TICKS)
        monkeypatch.setattr("time.monotonic", lambda: self.clock)
        monkeypatch.setattr("time.process_time", lambda: self.own)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def work(self, seconds: float, own: float, others: float) -> None:
        self.clock += seconds
        self.own += own * seconds
        self.ticks += int(TICKS * seconds * (own + others))
        # user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice; core 0 is not for this program
        self.stat.write_text(
            f"cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 999999 0 0 0 0 0 0 0 0 0\ncpu1 {self.ticks} 0 0 70 80 0 0 0 90 0\n"
            f"cpu2 0 0 0 {self.ticks} 0 0 0 0 0 0\nintr 5\n"
        )


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path / "stat", monkeypatch)


def notes_of(machine: Machine, caplog: pytest.LogCaptureFixture, own: float, others: float) -> list[str]:
    callback: Any = BusyMachine()
    machine.work(1, 0, 0)
    with caplog.at_level(logging.WARNING, logger="labbook"):
        callback.on_train_start(ALONE, None)
        machine.work(1, own, others)
        callback.on_train_batch_end(None, None, None, None, 1)
        assert callable(callback.on_train_batch_end)
        machine.work(1.5, own, others)
        callback.on_train_batch_end(None, None, None, None, 2)
    assert callback.on_train_batch_end is None  # no step asks again
    return [record.getMessage() for record in caplog.records]


def test_other_programs_are_noted_with_the_number_that_helps(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    assert notes_of(machine, caplog, own=1.2, others=0.8) == [
        "note: other processes keep 0.8 of 2 cores busy, so the 2 threads of this run wait for each other: threads=1"
        " may be faster (the last bits of the results depend on the number)"
    ]


@pytest.mark.parametrize("own", [2.0, 1.0])
def test_a_machine_of_its_own_is_not_noted(machine: Machine, caplog: pytest.LogCaptureFixture, own: float) -> None:
    assert notes_of(machine, caplog, own=own, others=0.2) == []


@pytest.mark.parametrize(
    ("file", "text", "noted"),
    [
        ("cpu.max", "150000 100000\n", False),
        ("c/cpu.max", "100000 100000\n", False),
        ("c/d/cpu.max", "max 100000\n", True),
        ("cpu.max", "200000 100000\n", True),
        ("cpu/a/cpu.cfs_quota_us", "150000\n", False),
        ("cpu/a/b/cpu.cfs_quota_us", "-1\n", True),
    ],
)
def test_in_a_container_with_a_quota_nothing_is_noted(
    machine: Machine, caplog: pytest.LogCaptureFixture, file: str, text: str, noted: bool
) -> None:
    limit = machine.stat.with_name("limits") / file
    limit.parent.mkdir(parents=True)
    limit.write_text(text)
    limit.with_name("cpu.cfs_period_us").write_text("100000\n")
    machine.work(1, 0, 0)
    callback: Any = BusyMachine()
    callback.on_train_start(ALONE, None)
    assert callable(callback.on_train_batch_end) == noted


def test_processes_of_the_run_are_not_others(
    machine: Machine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multiprocessing.active_children", lambda: [object()])
    assert notes_of(machine, caplog, own=1.2, others=0.8) == []


@pytest.mark.parametrize("why", ["one thread", "two processes", "another system"])
def test_nothing_is_measured_where_it_cannot_help(machine: Machine, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    if why == "one thread":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    if why != "another system":
        machine.work(1, 0, 0)  # writes STAT
    callback: Any = BusyMachine()
    callback.on_train_start(SimpleNamespace(world_size=1 + (why == "two processes")), None)
    assert callback.on_train_batch_end is None
