"""Test-time augmentation: which likenesses the network is shown and what becomes of its answers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from labbook.data.digits import Digits
from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.models.mlp import MLP
from labbook.training.classifier import Task
from labbook.training.tta import Tta, tta_logits
from tests.conftest import Command
from tests.test_train import metrics_of
from tests.training.test_classifier import trainer


def answers(images: Tensor) -> Tensor:
    """Made-up logits [n, 2]: the upper left pixel, and a weight for each other."""
    weights = torch.arange(images[0].numel(), dtype=torch.float32)
    return torch.stack([images.flatten(1)[:, 0], images.flatten(1) @ weights], 1)


def by_hand(image: np.ndarray, tta: str) -> Tensor:
    """The likenesses of one image [C, H, W], made by numpy, each counted as often as it weighs."""
    mirror = image[..., ::-1]
    if tta == "none":
        shown = [image]
    elif tta == "mirror":
        shown = [image, mirror]
    else:
        framed = np.pad(image, [(0, 0), (1, 1), (1, 1)], mode="reflect")
        moved = [framed[:, 2:, 2:], framed[:, :-2, :-2]]
        shown = [image, image, mirror, mirror, *moved, *(item[..., ::-1] for item in moved)]
    return torch.stack([answers(torch.from_numpy(item.copy())[None])[0] for item in shown]).mean(0)


@pytest.mark.parametrize("tta", ["none", "mirror", "mirror_translate"])
@pytest.mark.parametrize("shape", [(5, 3, 4, 4), (1, 1, 2, 2)])
def test_logits_are_the_weighted_mean_over_the_likenesses(tta: Tta, shape: tuple[int, ...]) -> None:
    images = torch.randn(shape)
    found = tta_logits(answers, images, tta)
    for image, logits in zip(images, found, strict=True):
        torch.testing.assert_close(logits, by_hand(image.numpy(), tta))


def test_a_network_that_is_not_to_be_averaged_is_asked_once() -> None:
    asked: list[Tensor] = []
    images = torch.randn(2, 1, 3, 3)
    tta_logits(lambda shown: asked.append(shown) or shown, images, "none")
    assert len(asked) == 1
    assert asked[0] is images


@pytest.mark.parametrize("tta", ["mirror", "mirror_translate"])
def test_the_test_is_of_averaged_logits_and_training_is_not(tta: Tta) -> None:
    data = Digits()
    data.setup()
    plain = MLP(data.spec)
    model = MLP(data.spec, Task(tta=tta)).eval()
    model.load_state_dict(plain.state_dict())
    trainer().test(model, datamodule=data, verbose=False)
    pixels, labels = data.parts["test"][:2]
    logits = tta_logits(model, data.spec.normalize(pixels), tta)
    assert not torch.allclose(logits, model(data.spec.normalize(pixels)))
    assert model.outcome is not None
    assert torch.equal(model.outcome.predicted, logits.argmax(1))
    assert model.outcome.figures.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    losses = []
    for network in (plain, model):
        network.trainer = trainer()
        losses.append(network.training_step(batch, 0).item())
    assert losses[0] == losses[1]


def test_images_that_cannot_be_moved_are_refused() -> None:
    spec = ImageSpec(1, 1, ("a", "b"), (0.5,), (0.5,))
    MLP(spec, Task(tta="mirror"))
    with pytest.raises(SettingError, match=r"at least 2 pixels and the data gives 1: use data\.image_size=2"):
        MLP(spec, Task(tta="mirror_translate"))


def test_it_is_a_setting_of_the_task(labbook: Command) -> None:
    quick = ("model=mlp", "epochs=1", "callbacks=none", "logger=none", "trainer.precision=32")
    plain, mirrored = (metrics_of(labbook(*quick, f"task.tta={tta}").run) for tta in ("none", "mirror"))
    assert plain["train/loss"] == mirrored["train/loss"]
    assert plain["val/loss"] != mirrored["val/loss"]
    assert plain["test/loss"] != mirrored["test/loss"]
    assert labbook(*quick, "task.tta=flip").code == 2


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^task\.tta=mirrored is unknown; choices: none, mirror, mirror_translate$"):
        tta_logits(answers, torch.zeros(1, 3, 4, 4), "mirrored")  # type: ignore[arg-type]
