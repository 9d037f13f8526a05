"""What a run said of each test image, kept and read again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from labbook.evaluation.answers import Answers, identity_of
from tests.data.samples import images, made


def test_kept_and_read_again(tmp_path: Path) -> None:
    rows, labels, predicted = (torch.tensor(values) for values in ([2, 0, 1], [5, 3, 4], [5, 9, 4]))
    answers = Answers.of("abc", rows, labels, predicted)
    answers.write(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "image,label,predicted\n0,3,9\n1,4,4\n2,5,5\n"
    again = Answers.read(tmp_path / "a.csv", "abc")
    assert again is not None
    assert again.right.tolist() == [False, True, True]
    assert again.accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "text",
    ["", "a,b,c\n0,1,1\n", "image,label,predicted\n", "image,label,predicted\n0,1\n", "image,label,predicted\n1,1,1\n",
     "image,label,predicted\n0,1,x\n", "image,label,predicted\n0,1,1\n1,2\n", f"image,label,predicted\n0,1,{10**30}\n"],
)  # fmt: skip
def test_what_is_damaged_counts_as_absent(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert Answers.read(tmp_path / "a.csv", "abc") is None
    assert Answers.read(tmp_path / "none.csv", "abc") is None


def test_a_test_set_is_known_again_in_whatever_size_it_is_shown() -> None:
    one, larger, fewer = made(), made(image_size=12, channels=1), made(limit=10)
    relabelled = made(test=images(20, seed=2)._replace(labels=torch.from_numpy(np.zeros(20, dtype=np.int64))))
    assert identity_of(one) == identity_of(larger)
    assert len({*map(identity_of, (one, fewer, relabelled))}) == 3
    files = [identity_of(made(test=images(20, seed=2)._replace(content=content))) for content in ("a", "b")]
    assert len({identity_of(one), *files}) == 3
