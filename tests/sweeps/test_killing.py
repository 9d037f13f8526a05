"""A sweep killed at random moments, over and over, ends as one that was left alone."""

import random
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.sweeps.running import PLAIN, ROOT, figures_of, kill, run, runs_of, start, summary_of

SWEEP = ("-m", *PLAIN, "data.limit=300", "epochs=6", "data.augment=[{rotation: 10}, {crop: 2}]",
         "model.width=8,16,32", "optimizer=sgd,adam", "sweep.name=killed")  # fmt: skip


def let_begin(process: subprocess.Popen[str]) -> bool:
    """Wait until it trains; False if it ended without."""
    assert process.stdout is not None
    return any(re.match(r"run \d+/", line) for line in iter(process.stdout.readline, ""))


@pytest.mark.slow
def test_a_sweep_killed_at_random_moments_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    began = time.monotonic()
    assert run(*SWEEP, cwd=whole).code == 0
    seconds = time.monotonic() - began
    expected, table = figures_of(whole / "logs/sweeps/killed"), summary_of(whole / "logs/sweeps/killed")
    draw, kills, resumed = random.Random(0), 0, 0
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        while True:
            process = start(*SWEEP, cwd=folder)
            # a few while it starts or ends, most of them while it trains
            wait = draw.uniform(0, seconds)
            if draw.random() < 0.75 and let_begin(process):
                wait *= 0.3
            try:
                _, err = process.communicate(timeout=wait)
            except subprocess.TimeoutExpired:
                kill(process)
                kills += 1
                continue
            assert process.returncode == 0, err
            break
        sweep = folder / "logs/sweeps/killed"
        assert {metrics["status"] for metrics in runs_of(sweep).values()} == {"finished"}
        assert figures_of(sweep) == expected
        assert summary_of(sweep) == table
        assert not (folder / "logs/replaced").exists()
        resumed += sum(metrics.get("resumed", 0) for metrics in runs_of(sweep).values())
    print(f"{kills} kills in 20 rounds, {resumed} times a run was gone on with")
    assert kills >= 10
    assert resumed >= 5
    assert not (ROOT / "logs" / "sweeps" / "killed").exists()
