"""TensorBoard's event files: their order, and what they cannot take."""

import errno
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from labbook.data.image_spec import ImageSpec
from labbook.loggers import EVENTS, TensorBoard
from labbook.training.classifier import Classifier


def begun(folder: Path) -> list[int]:
    """The seconds in the names of a folder's event files, in the order that readers take them in."""
    return [int(found[1]) for path in sorted(folder.iterdir()) if (found := EVENTS.match(path.name))]


def test_what_goes_on_has_a_later_second_than_what_is_there(tmp_path: Path) -> None:
    for part in range(3):
        logger = TensorBoard(str(tmp_path))
        if part:
            logger.purge(part)
        for step in (part, part + 1):  # the second is after the step at which the run is resumed
            logger.log_metrics({"loss": float(part)}, step)
        logger.close()
    seconds = begun(tmp_path)
    assert len(seconds) == len(set(seconds)) == 3
    read = EventAccumulator(str(tmp_path)).Reload().Scalars("loss")
    assert [(event.step, event.value) for event in read] == [(0, 0), (1, 1), (2, 2), (3, 2)]


def test_files_of_a_clock_that_was_ahead_stay_before_what_goes_on(tmp_path: Path) -> None:
    now = int(time.time())
    for second, name in ((now - 50, "old"), (now + 3600, "ahead"), (now + 3600, "later")):
        (tmp_path / f"events.out.tfevents.{second}.{name}.1.0").touch()
    logger = TensorBoard(str(tmp_path))
    logger.purge(5)
    logger.log_metrics({"loss": 1.0}, 5)
    logger.close()
    *before, last = sorted(path.name for path in tmp_path.iterdir())
    assert [name.split(".")[4] for name in before] == ["old", "ahead", "later"]
    assert before[0].split(".")[3] == str(now - 50)
    assert int(last.split(".")[3]) >= now


def test_a_disk_that_cannot_be_written_is_not_taken_for_a_wrong_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    logger = TensorBoard(str(tmp_path))
    with pytest.raises(OSError, match="No space left"):
        logger.log_metrics({"loss": 1.0}, 0)
    logger.close()


class Net(Classifier):
    """A convolution and a dense layer, with dropout."""

    def __init__(self) -> None:
        super().__init__(ImageSpec(1, 6, ("a", "b"), (0.5,), (0.5,)))
        self.layers = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Dropout(), nn.Linear(48, 2))
        self._trainer: Any = SimpleNamespace(ckpt_path=None)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


def graph_of(folder: Path) -> bytes | None:
    events = EventAccumulator(str(folder)).Reload()
    found: bytes | None = events.Graph().SerializeToString() if events.Tags()["graph"] else None
    return found


@pytest.mark.parametrize("asked", [True, False])
def test_the_graph_is_written_if_asked_for_and_changes_nothing(asked: bool, tmp_path: Path) -> None:
    logger, model = TensorBoard(str(tmp_path), log_graph=asked), Net()
    random = torch.get_rng_state()
    for _ in range(2):  # Lightning asks again for the test
        logger.log_graph(model)
    logger.close()
    assert torch.equal(torch.get_rng_state(), random)
    assert model.layers[2].training
    graph = graph_of(tmp_path)
    assert (graph is not None) == asked
    assert not asked or b"Conv2d" in (graph or b"")


def test_a_run_that_goes_on_has_its_graph(tmp_path: Path) -> None:
    logger, model = TensorBoard(str(tmp_path), log_graph=True), Net()
    model._trainer.ckpt_path = "last.ckpt"
    logger.log_graph(model)
    logger.log_metrics({"loss": 1.0}, 0)
    logger.close()
    assert graph_of(tmp_path) is None


def test_a_network_that_cannot_be_traced_has_no_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logger, model = TensorBoard(str(tmp_path), log_graph=True), Net()
    monkeypatch.setattr(Net, "forward", lambda self, images: {"logits": {1: images}})
    logger.log_graph(model)
    logger.log_metrics({"loss": 1.0}, 0)
    logger.close()
    assert graph_of(tmp_path) is None
    assert capsys.readouterr() == ("", "")
