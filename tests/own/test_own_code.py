"""An optimizer, a schedule, a callback and a logger of the user's own, in a package that pyproject.toml names."""

import json
from functools import partial

import pytest
import yaml

from tests.conftest import Command
from tests.test_train import rows_of, same_weights


@pytest.fixture
def own(mylab: Command) -> Command:
    """A quick training in the project of somebody else."""
    return partial(mylab, "model=mlp", "model.width=4", "data.limit=100", "callbacks=none")


def test_all_of_them_train_and_resume_to_the_same_bits(own: Command) -> None:
    settings = ("optimizer=sign", "scheduler=root", "callbacks=unsure", "logger=[tensorboard,lines]")
    whole = own(*settings, "epochs=3")
    assert whole.code == 0, whole.err
    rates = [float(row["lr"]) for row in rows_of(whole.run)]
    assert rates == pytest.approx([0.001, 0.001, 0.001 / 2**0.5])
    saved = yaml.safe_load((whole.run / "config.yaml").read_text())
    assert saved["config_groups"]["logger"] == "[tensorboard,lines]"
    assert saved["logger"] == {
        "tensorboard": {"_target_": "labbook.loggers.TensorBoard", "log_graph": False},
        "lines": {"_target_": "mylab.loggers.Lines", "file": "lines.jsonl"},
    }
    assert list(whole.run.glob("events.out.tfevents.*"))
    lines = [json.loads(line) for line in (whole.run / "lines.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if "epoch" in line] == [1, 2, 3]
    first = own(*settings, "epochs=2")
    more = own(f"resume={first.run}", "epochs=3", "logger.file=more.jsonl")
    assert more.code == 0, more.err
    assert same_weights(whole.run, more.run)
    assert [row["lr"] for row in rows_of(more.run)] == [row["lr"] for row in rows_of(whole.run)]
    assert (more.run / "more.jsonl").is_file()
    assert list(yaml.safe_load((more.run / "config.yaml").read_text())["logger"]) == ["tensorboard", "lines"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("logger=[tensorboard,lines] logger.fille=x", "logger.fille is not a setting; did you mean file?"),
        (
            "logger=[tensorboard,lines] +logger.lines.size=1",
            "logger.lines.size is not a setting of mylab.loggers.Lines",
        ),
        ("logger=[tensorboard,lines] +logger.save_dir=x", "logger.tensorboard.save_dir is set by the program"),
        ("logger=[tensorboard,lines] logger._target_=x", "logger._target_=x is for one logger"),
        ("logger=[tensorboard,liness]", "logger=liness is unknown; did you mean lines?"),
        ("optimizer=sign optimizer.lr=-1", "optimizer.lr must be greater than 0"),
        ("optimizer=sign optimizer._target_=mylab.loggers.Lines", "is not a subclass of Optimizer"),
        ("optimizer=sign optimizer._target_=hislab.SGD", "is not allowed; allowed are "),
    ],
)
def test_what_is_wrong_is_refused(arguments: str, sentence: str, own: Command) -> None:
    ended = own("epochs=1", *arguments.split())
    assert ended.code == 2, ended.err
    assert sentence in ended.sentence


@pytest.mark.usefixtures("undrawn")
@pytest.mark.slow
def test_runs_with_other_loggers_are_not_done_again(own: Command) -> None:
    one = own("-m", "seed=1", "epochs=1", "sweep.name=mine", "logger=lines")
    several = own("-m", "seed=1", "epochs=1", "sweep.name=mine", "logger=[tensorboard,lines]", "logger.file=x.jsonl")
    assert (one.code, several.code) == (0, 0), one.err + several.err
    assert one.run == several.run
    assert len(list(one.run.glob("*/lines.jsonl"))) == 1
    assert not list(one.run.glob("*/x.jsonl"))
