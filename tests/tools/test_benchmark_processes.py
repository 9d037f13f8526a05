"""What the benchmark says of whole processes is what they take."""

import re
from pathlib import Path

import pytest

from labbook.config import schema
from labbook.data.synthetic import Synthetic
from labbook.errors import TrainingError
from labbook.sweeps import grid_sweeper
from tools.benchmark import memory, processes, scaling, startup
from tools.benchmark.cases import case
from tools.benchmark.processes import TRAIN, Cost
from tools.benchmark.sections import Section

MEBIBYTE = 2**20
TINY = ("model=mlp", "model.width=4", "data.limit=20", "epochs=1", "callbacks=none", "logger=none")


@pytest.fixture(autouse=True)
def _registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    schema.register_schema()
    grid_sweeper.register_sweepers()


def number(text: str) -> float:
    return float(re.sub(r"[^0-9.-]", "", text))


def test_waiting_counts_as_time_and_not_as_work(tmp_path: Path) -> None:
    cost = processes.measured("-S", "-c", "import time; time.sleep(0.4)", cwd=tmp_path)
    assert cost.seconds >= 0.4
    assert cost.cpu < 0.3


def test_work_counts_also_in_a_process_of_its_own(tmp_path: Path) -> None:
    busy = "import time\\nwhile time.process_time() < 0.4: pass"
    nested = f'import subprocess, sys; subprocess.run([sys.executable, "-S", "-c", "{busy}"], check=True)'
    assert processes.measured("-S", "-c", nested, cwd=tmp_path).cpu >= 0.4


def test_the_peak_is_that_of_the_process_and_not_of_this_one(tmp_path: Path) -> None:
    here = bytearray(b"x") * (300 * MEBIBYTE)
    nothing = processes.measured("-S", "-c", "pass", cwd=tmp_path)
    much = processes.measured("-S", "-c", "bytearray(b'x') * (200 * 2**20)", cwd=tmp_path)  # gone before the end
    assert len(here) > nothing.peak
    assert 190 * MEBIBYTE < much.peak - nothing.peak < 215 * MEBIBYTE


@pytest.mark.slow
def test_a_process_that_ends_otherwise_is_not_measured(tmp_path: Path) -> None:
    assert processes.measured("-S", "-c", "raise SystemExit(2)", cwd=tmp_path, code=2).seconds > 0
    with pytest.raises(TrainingError, match="ended with 1: Traceback"):
        processes.measured("-S", "-c", "1 / 0", cwd=tmp_path)
    with pytest.raises(TrainingError, match=r"made no step: error: optimizer\.lrr is not a setting"):
        processes.to_first_step(TRAIN, "optimizer.lrr=1", cwd=tmp_path)


@pytest.mark.slow
def test_the_first_step_is_awaited_and_what_comes_after_is_not(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import time\n"
        "time.sleep(0.3)\n"
        "import torch\n"
        "weights = torch.ones(2, requires_grad=True)\n"
        "optimizer = torch.optim.SGD([weights], lr=0.1)\n"
        "weights.sum().backward()\n"
        "print('before', flush=True)\n"
        "optimizer.step()\n"
        "print('after', flush=True)\n"
        "time.sleep(60)\n"
    )
    cost = processes.to_first_step(str(program), cwd=tmp_path)
    assert 0.3 + 0.2 < cost.cpu + 0.3 <= cost.seconds + 0.1
    assert cost.seconds < 50
    assert "before" in cost.out
    assert "after" not in cost.out


def test_tasks_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []

    def task(name: str) -> Cost:
        order.append(name)
        return Cost(float(len(order)), 0.0, 0)

    costs = processes.in_turns({"a": lambda: task("a"), "b": lambda: task("b")}, 2)
    assert order == ["a", "b"] * 3
    assert [cost.seconds for cost in costs["b"]] == [4.0, 6.0]
    assert processes.median(costs["a"], "seconds") == 4.0


def test_what_is_beyond_the_imports_is_taken_pair_by_pair() -> None:
    costs = {startup.LIMIT: [Cost(9, 3, 0), Cost(9, 5, 0)], "ours": [Cost(9, 4, 0), Cost(9, 5.5, 0)]}
    assert startup.rows(costs) == [(startup.LIMIT, "9.00", "4.00", "+0.00"), ("ours", "9.00", "4.75", "+0.75")]


def test_memory_is_told_beyond_imports_and_images(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([1, 1, 800, 1000, 802, 1010])
    monkeypatch.setattr(processes, "measured", lambda *_, **__: Cost(1.0, 1.0, next(peaks) * MEBIBYTE))
    (row,) = memory.section(2, [case("tiny", "mlp", 100, 64, 3, 49, 49)]).rows
    assert row == ("tiny", "1,005 MiB", "801 MiB", "68 MiB", "136 MiB")


def test_further_runs_are_counted_without_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "swept", lambda runs: Cost(5.0 + 2 * runs, 1.0, (900 + runs) * MEBIBYTE))
    one, four = scaling.with_runs(1, (1, 4)).rows
    assert one == ("1", "7.0", "", "901 MiB", "0 MiB")
    assert four == ("4", "13.0", "2.00", "904 MiB", "3 MiB")


def test_the_images_of_a_case_take_what_they_are_said_to() -> None:
    train, test = Synthetic(images=60, image_size=8, channels=1).load()
    held = sum(part.nbytes for images in (train, test) for part in (images.pixels, images.labels))
    assert memory.data_bytes(case("tiny", "mlp", 20, 8, 1, 2, 2)) == held


# Whole sections, which take a minute --------------------------------------------------------------------------------


@pytest.mark.slow
def test_start_up_tells_all_and_refusing_is_the_least_of_it(tmp_path: Path) -> None:
    section = startup.section(1)
    assert well_formed(section)
    cpu = {row[0]: number(row[2]) for row in section.rows}
    assert len(cpu) == 5
    for short in ("train.py --help", "train.py with a misspelt setting"):
        assert cpu[short] < 0.6 * cpu[startup.LIMIT]
    assert cpu["train.py to its first step"] > 0.5 * cpu[startup.LIMIT]
    assert section.rows[0][3] == "+0.00"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_memory_beyond_the_images_is_what_is_left_of_the_peak(tmp_path: Path) -> None:
    (row,) = memory.section(1, [case("tiny", "mlp", 100, 64, 3, 49, 49, "model.width=4", "callbacks=none")]).rows
    peak, imports, images, beyond = map(number, row[1:])
    assert images == round(7 / 6 * 5000 * (3 * 64 * 64 + 8) / MEBIBYTE) == 68
    assert peak > imports + 40
    assert abs(peak - imports - images - beyond) <= 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_growth_with_the_data_is_held_against_the_first(tmp_path: Path) -> None:
    section = scaling.with_data(1, [scaling.of_size(64), scaling.of_size(256)])
    assert well_formed(section)
    assert [row[0] for row in section.rows] == ["64", "256"]
    assert section.rows[0][2] == "1.00"
    assert all(number(row[1]) > 0 for row in section.rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_growth_with_the_runs_counts_those_beyond_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "TINY", TINY)
    section = scaling.with_runs(1, (1, 3))
    assert well_formed(section)
    one, three = section.rows
    assert (one[0], one[2], three[0]) == ("1", "", "3")
    assert number(three[2]) == pytest.approx((number(three[1]) - number(one[1])) / 2, abs=0.1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_sweep_of_so_many_runs_makes_them() -> None:
    ended = scaling.swept(2)
    assert ended.out.count("run ") >= 2
    assert ended.out.rstrip().splitlines()[-1].startswith("sweep: ")


def well_formed(section: Section) -> bool:
    return bool(section.title and section.note) and all(len(row) == len(section.columns) for row in section.rows)
