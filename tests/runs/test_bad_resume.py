"""A run that cannot be resumed as asked is refused in one sentence, and stays as it is."""

import os
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.cases import each_case
from tests.config.test_bad_input import QUICK, refused
from tests.conftest import Command


@pytest.fixture
def run(labbook: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs, trained once and copied for each test."""
    trained = tmp_path_factory.getbasetemp() / "trained"
    if not trained.exists():
        ended = labbook(*QUICK, "epochs=2")
        assert ended.code == 0, ended.err
        ended.run.rename(trained)
        shutil.rmtree("logs")
    return Path(shutil.copytree(trained, "mine"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run but what it said."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "train.log"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@each_case(
    ("arguments", "sentence"),
    [
        ("", "mine has finished its 2 epochs: to train longer, use a larger number, such as epochs=4"),
        ("epochs=1", "epochs"),
        (
            "epochs=3 optimizer.lr=0.5",
            "mine was started with optimizer.lr=0.001, so optimizer.lr=0.5 would be another run",
        ),
        ("epochs=3 model=lenet5", "mine was started with model=mlp, so model=lenet5 would be another run"),
        ("epochs=3 seed=7", "mine was started with seed=42, so seed=7 would be another run"),
        ("epochs=3 +optimizer.amsgrad=true", "so +optimizer.amsgrad=true would be another run"),
        ("epochs=3 experiment=c1_mlp_mnist", "so experiment=c1_mlp_mnist would be another run"),
        ("epochs=3 model.widht=9", "model.widht is not a setting; did you mean width?"),
        ("epochs=3 model.width=9", "mine was started with model.width=128, so model.width=9 would be another run"),
        ("epochs=3 model.padding=9", "model.padding is not a setting; settings here: activation, depth, "),
        (
            "epochs=3 trainer.accumulate_grad_batches=2",
            "mine was started with trainer.accumulate_grad_batches=1, and trainer.accumulate_grad_batches=2",
        ),
        ("epochs=3 trainer.limit_train_batches=1", "mine was started with trainer.limit_train_batches=null, and "),
        ("epochs=+3", "epochs=+3: epochs is the total number of epochs: use epochs=N"),
        ("epochs=3 trainer.precision=8", "trainer.precision=8 is unknown; choices: "),
    ],
)
def test_a_run_is_not_continued_as_another(arguments: str, sentence: str, run: Path, labbook: Command) -> None:
    before = contents(run)
    refused(labbook(f"resume={run}", *arguments.split()), sentence)
    assert contents(run) == before


def test_the_settings_that_a_resumed_run_would_have_are_shown(run: Path, labbook: Command) -> None:
    shown = labbook(f"resume={run}", "--cfg", "job")
    assert shown.code == 0, shown.err
    own = yaml.safe_load((run / "config.yaml").read_text())
    assert yaml.safe_load(shown.out) == own | {"resume": str(run)}
    more = labbook("--cfg", "job", "-p", "trainer", f"resume={run}", "epochs=9", "trainer=cpu")
    assert yaml.safe_load(more.out) == own["trainer"] | {"accelerator": "cpu"}
    assert labbook("--cfg", "job", "-p", "epochs", f"resume={run}", "epochs=9").out == "9\n"
    refused(labbook("--cfg", "job", f"resume={run}", "seed=7"), "mine was started with seed=42")
    refused(labbook("--cfg", "job", "-p", "optimzer", f"resume={run}"), "optimzer is not a setting; did you mean opti")


def test_what_a_continued_run_may_change_is_said(run: Path, labbook: Command) -> None:
    sentence = refused(labbook(f"resume={run}", "epochs=3", "optimizer.lr=0.5"))
    assert "a resumed run accepts new values of epochs, trainer, " in sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"model: [1\n", "mine/config.yaml cannot be read: "),
        (b"\xff\xfe\x00", "mine/config.yaml cannot be read: "),
        (b"", "mine/config.yaml is not the configuration of a run: it has no model and data"),
        (b"just words\n", "mine/config.yaml"),
        (b"- a\n- b\n", "mine/config.yaml"),
        (b"model: {}\ndata: {}\n", ""),
    ],
    ids=["damaged", "binary", "empty", "text", "list", "cut short"],
)
def test_a_run_with_a_spoiled_configuration_is_not_continued(
    content: bytes, sentence: str, run: Path, labbook: Command
) -> None:
    (run / "config.yaml").write_bytes(content)
    before = contents(run)
    refused(labbook(f"resume={run}", "epochs=3"), sentence)
    assert contents(run) == before


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("optimizer.lr", "abc", "optimizer.lr must be a number, not 'abc'"),
        ("test_checkpoint", "first", "mine/config.yaml: test_checkpoint: Invalid value 'first'"),
        (
            "model.width",
            7,
            "has another network than MLP of the configuration: head.weight is (10, 128) there and (10, 7) here",
        ),
        ("model.widht", 7, "model.widht is not a setting of labbook.models.mlp.MLP; did you mean width?"),
        ("callbacks.evil", {"_target_": "os.system", "command": "touch canary"}, "_target_=os.system is not allowed"),
    ],
)
def test_a_run_whose_configuration_was_edited_is_not_continued(
    name: str, value: Any, sentence: str, run: Path, labbook: Command
) -> None:
    content = yaml.safe_load((run / "config.yaml").read_text())
    *parents, key = name.split(".")
    node = content
    for parent in parents:
        node = node[parent]
    node[key] = value
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    before = contents(run)
    refused(labbook(f"resume={run}", "epochs=3"), sentence)
    assert contents(run) == before
    assert not Path("canary").exists()


class Code:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch canary",)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def a_pickle_of_code(path: Path) -> None:
    path.write_bytes(pickle.dumps(Code(), protocol=2))


def a_checkpoint_with_code(path: Path) -> None:
    torch.save({**torch.load(path, weights_only=True), "extra": Code()}, path)


def something_else(path: Path) -> None:
    torch.save([1, 2, 3], path)


@pytest.mark.parametrize(
    ("spoil", "logger"),
    [
        (truncated, "tensorboard"),  # which would have files of its own in the folder
        (a_pickle_of_code, "none"),
        pytest.param(emptied, "none", marks=pytest.mark.slow),
        pytest.param(a_checkpoint_with_code, "tensorboard", marks=pytest.mark.slow),
        pytest.param(something_else, "none", marks=pytest.mark.slow),
    ],
)
def test_a_spoiled_checkpoint_is_not_loaded(spoil: Any, logger: str, run: Path, labbook: Command) -> None:
    spoil(run / "checkpoints" / "last.ckpt")
    before = contents(run)
    sentence = refused(labbook(f"resume={run}", "epochs=3", f"logger={logger}"))
    assert re.match(r"mine/checkpoints/last\.ckpt is (damaged \(|not a )", sentence)
    assert contents(run) == before
    assert not Path("canary").exists()


def test_the_code_would_run_if_it_were_loaded_carelessly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    a_pickle_of_code(tmp_path / "x")
    with pytest.raises(RuntimeError, match="corrupt file"):  # found too late
        torch.load(tmp_path / "x", weights_only=False)
    assert (tmp_path / "canary").exists()
