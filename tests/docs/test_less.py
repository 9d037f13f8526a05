"""What the tests of the pages make of a command is that command with less to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases import each_case
from tests.docs.less import fewer


@each_case(
    ("name", "words", "expected"),
    [
        ("train.py", "model=mlp epochs=3", "model=mlp data.limit=60 epochs=1"),
        ("train.py", "data.limit=null epochs=3", "data.limit=null epochs=1"),
        ("train.py", "--cfg job model=mlp", "--cfg job model=mlp"),
        ("train.py", "-m sweep=a seeds=3", "-m sweep=a data.limit=60 epochs=1 seeds=2 callbacks=none"),
        ("train.py", "-m callbacks=ema seed=1,2", "-m callbacks=ema seed=1,2 data.limit=60 epochs=1"),
        ("model_costs.py", "data=mnist", "lenet5 mlp data=mnist"),
        ("model_costs.py", "--batch-size 8 --write a/b.md", "lenet5 mlp --batch-size 8 --write a/b.md"),
        ("model_costs.py", "alexnet data=mnist", "alexnet data=mnist"),
        ("stress_test.py", "--parts kills", "--parts kills --quick --seconds 20"),
        ("report.py", "logs/sweeps/NAME", "logs/sweeps/NAME"),
    ],
)
def test_a_command_has_less_to_do(name: str, words: str, expected: str) -> None:
    assert " ".join(fewer(name, words.split())) == expected


def test_a_run_that_goes_on_gets_one_epoch_more(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,train/acc\n1,0.1\n2,0.2\n")
    assert fewer("train.py", [f"resume={tmp_path}", "epochs=40"]) == [f"resume={tmp_path}", "epochs=3"]


@pytest.mark.parametrize(("line", "code"), [("print('at http://localhost:1/', flush=True)", 0), ("print('no')", 1)])
def test_a_server_is_left_once_it_listens(tmp_path: Path, line: str, code: int) -> None:
    program = tmp_path / "serve.py"
    program.write_text(f"import time\n{line}\nif {not code}: time.sleep(60)\n")
    less = Path(__file__).with_name("less.py")
    ended = subprocess.run([sys.executable, less, program], capture_output=True, check=False, timeout=30)
    assert ended.returncode == code
