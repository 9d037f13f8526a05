"""What the machine cannot give ends in one sentence, too: devices, packages, room on the disk, finite numbers."""

import errno
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from labbook.callbacks import epoch_recorder
from labbook.training import hardware
from tests.config.test_bad_input import QUICK, refused
from tests.conftest import Command

# The machine -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "accelerator"),
    [("trainer=gpu", "gpu"), ("trainer.accelerator=cuda", "cuda"), ("trainer.accelerator=mps", "mps")],
)
def test_a_device_that_is_not_there_is_refused(
    argument: str, accelerator: str, labbook: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "describe_machine", hardware.Machine)
    sentence = refused(labbook(argument))
    assert sentence == (
        f"trainer.accelerator={accelerator}: this machine has none; it has cpu, and trainer=auto uses the best"
    )


# Packages that are not installed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_that_is_not_installed_is_refused(
    name: str, labbook: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    sentence = refused(labbook(f"logger={name}"))
    assert sentence == f"logger={name} is not installed: make setup EXTRAS={name}, or pip install -e '.[{name}]'"


# Places that cannot be written -------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["occupied", "occupied/below"])
def test_a_place_for_runs_that_cannot_be_made_is_refused(place: str, labbook: Command, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file\n")
    sentence = refused(labbook(f"log_dir={place}"))
    assert (
        sentence
        == f"cannot make a run folder in {place}/runs (Not a directory): use another folder with log_dir=FOLDER"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["occupied"]


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")


@pytest.mark.parametrize(
    ("module", "name"),
    [(torch, "save"), pytest.param(epoch_recorder, "write_whole", marks=pytest.mark.slow)],
    ids=["checkpoint", "table"],
)
def test_a_full_disk_ends_the_run_and_spares_the_checkpoint(
    module: Any, name: str, labbook: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = labbook(*QUICK, "epochs=1").run
    last = run / "checkpoints" / "last.ckpt"
    before = last.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(module, name, full)
        ended = labbook(f"resume={run}", "epochs=3")
    assert ended.code != 0
    assert ended.sentence == "cannot write somewhere: No space left on device"
    assert last.read_bytes() == before
    assert torch.load(last, weights_only=True)["epoch"] == 0
    assert not list(run.rglob("*partial*"))
    assert json.loads((run / "metrics.json").read_text())["status"] == "interrupted"
    again = labbook(f"resume={run}", "epochs=3")
    assert again.code == 0, again.err
    assert json.loads((run / "metrics.json").read_text())["epochs"] == 3


def test_a_disk_that_is_full_from_the_first_epoch_on_ends_the_run(
    labbook: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "save", full)
    ended = labbook(*QUICK, "epochs=1")
    assert ended.code != 0
    assert ended.sentence == "cannot write somewhere: No space left on device"


# A loss that is no number ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held_out", "sentence", "epochs"),
    [
        ("0.1", r"the validation loss became (nan|inf) in step 3; try a smaller optimizer\.lr, ", 2),
        ("0", r"the loss became (nan|inf) in step 4; try a smaller optimizer\.lr, ", 3),
    ],
    ids=["validation", "training"],
)
def test_a_loss_that_is_no_number_ends_the_run_and_spares_the_last_good_checkpoint(
    held_out: str, sentence: str, epochs: int, labbook: Command
) -> None:
    # One step an epoch: the rate explodes for the third step, the fourth has the weights that this leaves.
    explode = (
        "optimizer=sgd",
        "optimizer.lr=1.0",
        "scheduler=step",
        "scheduler.milestones=[0.5]",
        "scheduler.gamma=1e30",
    )
    ended = labbook(*QUICK, *explode, f"data.val_fraction={held_out}", "epochs=4")
    assert ended.code == 1
    assert re.match(sentence, ended.sentence), ended.sentence
    run = ended.run
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["status"] == "failed"
    assert ended.sentence in metrics["reason"]
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert (content["epoch"], content["global_step"]) == (epochs - 1, epochs)
    assert all(weight.isfinite().all() for weight in content["state_dict"].values())


def test_a_full_disk_that_torch_hides_is_said(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(*_: object, **__: object) -> None:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904 - as torch does it

    monkeypatch.setattr(torch, "save", hidden)
    ended = labbook(*QUICK, "epochs=1")
    assert ended.code == 2
    assert re.match(r"cannot write \S+/checkpoints/(best|last)\.ckpt: No space left on device$", ended.sentence)
