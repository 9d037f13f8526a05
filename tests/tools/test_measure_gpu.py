"""The measurements for a GPU run from end to end on a CPU, so that no error is found only on the GPU."""

import json
import sys
from pathlib import Path

import pytest

from labbook.config import schema
from labbook.sweeps import grid_sweeper
from tools import measure_gpu
from tools.benchmark import plain_loop
from tools.benchmark.cases import case


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    schema.register_schema()
    grid_sweeper.register_sweepers()
    monkeypatch.setattr(plain_loop, "TRIALS", 1)
    monkeypatch.setattr(plain_loop, "forms", lambda: [plain_loop.Form()])
    monkeypatch.setattr(plain_loop, "otherwise", lambda form: {"not fused": plain_loop.Form(fused=False)})
    monkeypatch.setattr(plain_loop, "replace", lambda form, **_: form)  # compiling takes half a minute
    monkeypatch.setattr(measure_gpu, "OPTIONS", ((), ("trainer.precision=32", "data.on_device=false")))
    monkeypatch.setattr(measure_gpu, "MEASURED", [case("tiny", "mlp", 8, 8, 1, 9, 10, "model.width=4")])


@pytest.mark.slow
def test_all_parts_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new" / "gpu.json"
    arguments = ["measure_gpu.py", "--write", str(file), "--repetitions", "1", "--steps", "2"]
    monkeypatch.setattr(sys, "argv", arguments)
    measure_gpu.main()
    found = json.loads(file.read_text())
    errors = {name: part["error"] for name, part in found.items() if isinstance(part, dict) and "error" in part}
    assert not errors
    assert [(row["case"], row["options"]) for row in found["options"]] == [
        ("tiny", " ".join(options)) for options in measure_gpu.OPTIONS
    ]
    assert all(row["images/s"] > 0 for row in found["options"])
    assert [row["way to train"].partition(" (")[0] for row in found["training"][:3]] == [
        "Labbook",
        "notebook",
        "fastest plain loop",
    ]
    assert float(found["choices"][0]["not fused"]) > 0


def test_an_error_does_not_stop_the_other_parts(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    found = measure_gpu.measure({"first": lambda: 1 / 0, "second": lambda: 2}, file)
    assert json.loads(file.read_text()) == found
    assert found["first"] == {"error": "ZeroDivisionError: division by zero"}
    assert found["second"] == 2
