"""A finished run tested again."""

from collections.abc import Callable
from types import ModuleType

import pytest

from scripts import evaluate
from tests.conftest import Command
from tests.test_train import metrics_of


@pytest.fixture
def again(script: Callable[[ModuleType], Command]) -> Command:
    return script(evaluate)


def test_the_same_figures_again(labbook: Command, again: Command) -> None:
    run = labbook("epochs=3", "trainer.precision=32").run
    ended = again(str(run))
    assert ended.code == 0, ended.err
    metrics = metrics_of(run)
    assert ended.out.startswith(f"test loss {metrics['test/loss']:.4f} acc {metrics['test/acc']:.4f}  n 360")
    assert len(ended.out.splitlines()) == 11


def test_other_parts_and_settings(labbook: Command, again: Command) -> None:
    run = labbook("model=mlp", "epochs=1", "trainer.precision=32", "train_acc_eval=true").run
    train = again(str(run), "--split", "train", "--weights", "last")
    assert f"acc {metrics_of(run)['train/acc_eval']:.4f}  n 1293" in train.out
    assert "n 20" in again(str(run), "data.limit=20").out.splitlines()[0]


def test_a_run_of_before_a_setting_was_made_and_one_that_is_not_finished(labbook: Command, again: Command) -> None:
    run = labbook("model=mlp", "debug=fast").run
    whole = again(str(run))
    assert whole.err == ""
    lines = (run / "config.yaml").read_text().splitlines(keepends=True)
    (run / "config.yaml").write_text("".join(line for line in lines if not line.startswith("  init:")))
    (run / "metrics.json").write_text('{"status": "interrupted"}')
    older = again(str(run))
    assert (older.code, older.out) == (0, whole.out)
    assert older.err == "note: the run is not finished (interrupted): what it saved was tested\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "nowhere is not a run folder: it has no config.yaml"),
        (["RUN", "data.batchsize=3"], "did you mean batch_size?"),
        (["RUN", "data.batch_size=0"], "data.batch_size must be greater than 0, not 0"),
        (["RUN", "model.width=5"], "last.ckpt holds another network than MLP as configured"),
        (["RUN", "data._target_=os.system"], "data._target_=os.system is not allowed"),
    ],
)
def test_refusals(labbook: Command, again: Command, arguments: list[str], sentence: str) -> None:
    run = str(labbook("model=mlp", "debug=fast", "data.validate_on=test", "callbacks=none").run)
    ended = again(*[run if argument == "RUN" else argument for argument in arguments])
    assert ended.code == 2
    assert sentence in ended.sentence
