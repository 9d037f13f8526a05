"""What a run said of each test image, kept and read again."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from labbook.data.data_record import part_identity
from labbook.inference.evaluate import predictions_table
from labbook.inference.evaluate.predictions import Predictions
from labbook.training.label_tasks import EvaluationResult, Probabilities
from labbook.training.metrics import Metrics
from tests.data.samples import images, made


def outcome_of(probabilities: torch.Tensor, labels: list[int], rows: list[int]) -> EvaluationResult:
    """A test of images in this order, from float32 [n, classes]."""
    confidence, predicted = probabilities.max(1)
    true = torch.tensor(labels)
    kept = Probabilities.of(probabilities, true)
    none = torch.zeros(0, dtype=torch.int64)
    return EvaluationResult(
        Metrics(0.0, 0.0, 0.0, len(labels)), none, torch.tensor(rows), true, predicted, confidence, kept
    )


def test_predictions_have_files_names_and_probabilities(tmp_path: Path) -> None:
    probabilities = torch.tensor([[0.25, 0.75], [0.125, 0.875], [1.0, 1e-9]])
    files = ["test/1/a.png", "test/10/b,c.png", "test/10/\udcff.png"]
    file = tmp_path / "a.csv"
    file.write_text(
        predictions_table.predictions_table(outcome_of(probabilities, [1, 1, 0], [2, 0, 1]), ("1", "10"), files)
    )
    assert file.read_text().splitlines() == [
        "image,label,predicted,file,label_name,predicted_name,p_1,p_10",
        "0,1,1,test/1/a.png,10,10,0.125,0.875",
        '1,0,0,"test/10/b,c.png",1,1,1,1e-09',
        "2,1,1,test/10/\\udcff.png,10,10,0.25,0.75",
    ]
    again = Predictions.read(file, "abc")
    assert again is not None
    assert again.labels.tolist() == [1, 0, 1]
    assert again.predicted.tolist() == [1, 0, 1]


def test_of_many_classes_the_likeliest_and_the_true_one_are_kept(tmp_path: Path) -> None:
    file, names = tmp_path / "a.csv", [f"class\n{number}" for number in range(101)]
    probabilities = torch.linspace(0, 1, 101).expand(2, -1) / 100
    file.write_text(predictions_table.predictions_table(outcome_of(probabilities, [3, 100], [0, 1]), names))
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {name: rows[0][name] for name in ("label_name", "p_label", "top1", "top5_name", "top5_p")} == {
        "label_name": "class\\n3", "p_label": "0.0003", "top1": "100", "top5_name": "class\\n96", "top5_p": "0.0096",
    }  # fmt: skip
    assert len(rows[0]) == 5 + 1 + 3 * 5
    again = Predictions.read(file, "abc")
    assert again is not None
    assert again.right.tolist() == [False, True]


def test_predictions_of_older_runs_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,label,predicted\n0,3,9\n1,4,4\n2,5,5\n")
    again = Predictions.read(tmp_path / "a.csv", "abc")
    assert again is not None
    assert again.right.tolist() == [False, True, True]
    assert again.accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "text",
    ["", "a,b,c\n0,1,1\n", "image,label,predicted\n", "image,label,predicted\n0,1\n", "image,label,predicted\n1,1,1\n",
     "image,label,predicted\n0,1,x\n", "image,label,predicted\n0,1,1\n1,2\n",
     "image,label,predicted,p_a\n0,1,1\n", f"image,label,predicted\n0,1,{10**30}\n"],
)  # fmt: skip
def test_what_is_damaged_counts_as_absent(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert Predictions.read(tmp_path / "a.csv", "abc") is None
    assert Predictions.read(tmp_path / "none.csv", "abc") is None


def test_a_test_set_is_known_again_in_whatever_size_it_is_shown() -> None:
    one, larger, fewer = made(), made(image_size=12, channels=1), made(limit=10)
    relabelled = made(test=images(20, seed=2)._replace(labels=torch.from_numpy(np.zeros(20, dtype=np.int64))))
    assert part_identity(one) == part_identity(larger)
    assert len({*map(part_identity, (one, fewer, relabelled))}) == 3
    files = [part_identity(made(test=images(20, seed=2)._replace(content=content))) for content in ("a", "b")]
    assert len({part_identity(one), *files}) == 3
