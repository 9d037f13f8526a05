"""The whole program on the embedded digits."""

import json

from tests.conftest import Command


def test_a_run_ends_with_its_folder(labbook: Command) -> None:
    ended = labbook("model=mlp", "epochs=1", "trainer.precision=32")
    assert ended.code == 0, ended.err
    metrics = json.loads((ended.run / "metrics.json").read_text())
    assert metrics["status"] == "finished"
