"""What the stress test says of the program is so: its faults come, and what it compares it tells apart."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labbook.config import schema
from labbook.config.arguments import choice_files
from labbook.errors import TrainingError
from labbook.sweeps import grid_sweeper
from tools.stress import (
    bad_input,
    dry_run,
    fault_injection,
    fuzz_overrides,
    io_faults,
    kills,
    long_run,
    page,
    part,
    sweep,
)
from tools.stress.forkserver import Fault
from tools.stress.long_run import Look
from tools.stress.processes import TRACEBACK, Ended

QUICK = ("model=mlp", "model.width=4", "data.limit=32", "trainer.precision=32", "callbacks=none")


# Faults --------------------------------------------------------------------------------------------------------------


def work(folder: Path) -> None:
    """Seven operations."""
    (folder / "below").mkdir()
    partial = folder / "below" / ".partial"
    with partial.open("w", encoding="utf-8") as file:
        file.write("four")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / "below" / "whole")
    with (folder / "binary").open("ab") as file:
        file.write(b"1234")


OPERATIONS = ["mkdir below", "open .partial", "write .partial", "fsync .partial", "rename whole", "open binary"]
OPERATIONS += ["write binary"]


def test_every_operation_below_the_folder_is_counted_and_no_other(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "in").mkdir()
    with fault_injection.failing(tmp_path / "in", note=told.append) as counted:
        work(tmp_path / "in")
        (tmp_path / "beside").write_text("not counted")
        assert (tmp_path / "in" / "below" / "whole").read_text() == "four"
    assert told == OPERATIONS
    assert counted.count == 7
    assert (tmp_path / "in" / "binary").read_bytes() == b"1234"
    (tmp_path / "in" / "after").write_text("not counted either")
    assert counted.count == 7


@pytest.mark.parametrize("at", range(7))
def test_the_operation_asked_for_fails_and_those_before_it_are_done(at: int, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output") as failed, fault_injection.failing(tmp_path, at, "EIO"):
        work(tmp_path)
    assert failed.value.errno == errno.EIO
    assert Path(str(failed.value.filename)).name == OPERATIONS[at].split()[1]
    there = {path.name for path in tmp_path.rglob("*")}
    assert there == [set(), {"below"}, {"below", ".partial"}, {"below", ".partial"}, {"below", ".partial"},
                     {"below", "whole"}, {"below", "whole", "binary"}][at]  # fmt: skip


def test_a_short_write_leaves_half(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"), fault_injection.failing(tmp_path, 1, "short write"):
        (tmp_path / "a").write_text("four")
    assert (tmp_path / "a").read_text() == "fou"


def test_a_full_disk_stays_full_and_still_lets_go(tmp_path: Path) -> None:
    with fault_injection.failing(tmp_path, 3, "ENOSPC, permanent"):
        (tmp_path / "a").write_text("there was room")
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                (tmp_path / "b").write_text("there is none")
        (tmp_path / "a").unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_crash_ends_the_process_in_the_middle_of_a_write(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from tools.stress import fault_injection
with fault_injection.failing(Path({str(tmp_path)!r}), 1, "crash"):
    Path({str(tmp_path / "a")!r}).write_text("four")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (fault_injection.CRASHED, "", "")
    assert (tmp_path / "a").read_text() == "fou"


def test_only_what_an_operation_can_meet_is_done_to_it() -> None:
    assert fault_injection.possible("write last.ckpt") == [
        "ENOSPC",
        "ENOSPC, permanent",
        "EIO",
        "short write",
        "crash",
    ]
    assert fault_injection.possible("unlink .partial") == ["EIO", "EACCES", "crash"]
    assert {operation.split()[0] for operation in OPERATIONS} <= fault_injection.UNHEARD_OF.keys()


@pytest.mark.parametrize(
    ("ended", "kind", "promise"),
    [
        (Ended(2, "", "error: cannot write x: No space left on device\n"), "ENOSPC", None),
        (Ended(0, "went on", ""), "EIO", None),
        (Ended(fault_injection.CRASHED, "", ""), "crash", None),
        (Ended(2, "", f"{TRACEBACK}:\n  x\nerror: cannot write x\n"), "ENOSPC", io_faults.TRACES),
        (Ended(2, "", ""), "ENOSPC", io_faults.SILENT),
        (Ended(137, "", "error: killed\n"), "EIO", io_faults.SILENT),
        (Ended(1, "", ""), "crash", io_faults.SILENT),
    ],
)
def test_an_end_is_judged_by_its_code_and_its_sentence(ended: Ended, kind: str, promise: str | None) -> None:
    found = io_faults.judged(ended, Fault(0, kind), None, 0)
    assert [name for name, texts in found.items() if texts] == ([promise] if promise else [])


def test_what_was_saved_before_a_fault_is_known() -> None:
    operations = ["rename last.ckpt", "write x", "rename best.ckpt", "rename last.ckpt", "rename last.ckpt"]
    assert [io_faults.saved(operations, Fault(at, "EIO")) for at in range(5)] == [0, 1, 1, 1, 2]


# Comparing -----------------------------------------------------------------------------------------------------------


# Kills, sweeps, memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["optimizer", "scheduler", "callbacks"])
def test_the_runs_that_are_killed_have_every_choice(group: str) -> None:
    text = (
        " ".join(settings for settings, _ in kills.RUNS) + " callbacks=[default,none,unfreeze]"
    )  # needs other weights
    words = re.findall(rf"(?<={group}=)\w+|(?<=\[|,)\w+(?=[,\]])", text)
    assert [path.stem for path in choice_files(group) if path.stem not in words] == []
    assert len(kills.RUNS) == 10


def test_a_sweep_that_lost_or_repeated_a_run_is_told() -> None:
    able = 7 * 4
    states: dict[str, str | None] = {str(n): "finished" if n < able else "failed" for n in range(40)}
    assert sweep.told(states, set(), 1, sweep.Tally(), False, 1.0, 1).broken == []
    assert sweep.told(states, {"3"}, 1, sweep.Tally(), False, 1.0, 1).broken == ["3 was run twice"]
    (line,) = sweep.told(states | {"3": "running"}, set(), 1, sweep.Tally(), False, 1.0, 1).broken
    assert line == "of 40 runs 27 finished and 12 failed: 28 and 12 were to"
    told = sweep.told(states, set(), 1, sweep.Tally(traces=["ValueError: x"]), False, 1.0, 1)
    assert told.broken == ["a traceback: ValueError: x"]
    assert "ended with 0" in sweep.told(states, set(), 1, sweep.Tally(), False, 1.0, 0).broken[0]


def test_growth_is_told() -> None:
    nothing: dict[str, list[str]] = {"files": [], "threads": []}
    flat = [Look(epoch, 1000 + epoch % 3, 9, 2) for epoch in range(1, 41)]
    assert long_run.told(flat, nothing, 40).broken == []
    leaking = [Look(epoch, 1000 + epoch, 9 + epoch // 20, 2) for epoch in range(1, 41)]
    broken = long_run.told(leaking, nothing | {"threads": ["writer"]}, 40).broken
    assert [line.split()[0] for line in broken] == ["threads", "memory", "open"]


def test_a_process_is_looked_at() -> None:
    looked = long_run.look(os.getpid(), 3)
    assert looked.epoch == 3
    assert looked.resident > 100 * 2**20
    with Path(__file__).open():
        assert long_run.look(os.getpid(), 3).files == looked.files + 1


# Input ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    schema.register_schema()
    grid_sweeper.register_sweepers()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("mine")
    return tmp_path


@settings(max_examples=20, suppress_health_check=list(HealthCheck))  # the rest of a thousand: tools/stress_test.py
@given(arguments=st.deferred(fuzz_overrides.arguments))
@pytest.mark.slow
def test_arguments_at_random_end_in_a_sentence(here: Path, arguments: list[str]) -> None:
    end, why = bad_input.judged(dry_run.command(*bad_input.FIRST, *arguments), {"mine.txt": b"mine"})
    assert end in (bad_input.REFUSED, bad_input.BEGUN, bad_input.LATE), why


def test_what_is_right_would_train_and_leaves_nothing(here: Path) -> None:
    ended = dry_run.command(*QUICK, "logger=none")
    assert bad_input.judged(ended, {"mine.txt": b"mine"}) == (bad_input.BEGUN, "")
    assert "device: CPU" in ended.out


def test_ends_of_commands_are_told_apart(here: Path) -> None:
    before = {"mine.txt": b"mine"}
    assert bad_input.judged(Ended(2, "", "error: a sentence\n"), before)[0] == bad_input.REFUSED
    assert bad_input.judged(Ended(2, "", "error: a sentence\nand more\n"), before)[0] == bad_input.OTHER
    assert bad_input.judged(Ended(0, "", ""), before)[0] == bad_input.OTHER
    assert bad_input.judged(Ended(1, "", f"{TRACEBACK}\nTypeError: x\n"), before) == (bad_input.TRACES, "TypeError: x")
    (here / "new").write_text("")
    assert bad_input.judged(Ended(2, "", "error: a sentence\n"), before) == (bad_input.CHANGED, "new")
    bad_input.restore(here, before)
    assert part.held(here) == before


# The page ------------------------------------------------------------------------------------------------------------


def test_figures_take_the_place_of_those_of_before(tmp_path: Path) -> None:
    file = tmp_path / "docs" / "page.md"
    for measured in (1, 2):
        page.write(file, {"kills": part.Outcome(part.table("Kills", {"lost": measured}, "A note."))}, "here.")
    text = file.read_text()
    assert "| lost | 2 |" in text
    assert "| lost | 1 |" not in text
    file.write_text(f"{text}\nwritten by hand\n")
    page.write(file, {"sweep": part.Outcome(part.table("Sweep", {"runs": 3}, "Another."))}, "here.")
    assert "written by hand" in file.read_text()
    assert "| lost | 2 |" in file.read_text()
    assert file.read_text().index("| runs | 3 |") > file.read_text().index("written by hand")


# Whole parts, which take a minute each -------------------------------------------------------------------------------

EFFORT = part.Effort(quick=True, seconds=120, jobs=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", [kills, sweep, io_faults, long_run])
def test_a_part_finds_nothing_broken(name: object) -> None:
    outcome: part.Outcome = name.part(EFFORT)  # type: ignore[attr-defined]
    assert outcome.broken == []
    assert len(outcome.section.rows) > 3


@pytest.mark.slow
def test_a_run_that_cannot_be_made_is_no_figure(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="a run left alone ended with 2"):
        kills.left_alone(("epochs=0",), 1, tmp_path / "alone")
