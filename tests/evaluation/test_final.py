"""The end of a training."""

from pathlib import Path
from typing import Any

from labbook.data.synthetic import Synthetic
from labbook.evaluation.final import keep_answers


class Several:
    """What a Trainer of two processes says of itself."""

    world_size, is_global_zero = 2, True

    def __init__(self, folder: Path) -> None:
        self.default_root_dir = str(folder)


def test_answers_of_a_shorter_training_do_not_outlive_it(tmp_path: Path) -> None:
    file = tmp_path / "test_predictions.csv"
    several: Any = Several(tmp_path)
    outcome: Any = None
    file.write_text("image,label,predicted\n0,1,1\n")
    for _ in range(2):
        keep_answers(several, Synthetic(), outcome)
        assert not file.exists()
