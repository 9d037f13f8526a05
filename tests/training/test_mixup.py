"""Images mixed in pairs: what is made of pixels, labels, loss and accuracy."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from labbook.data.loader import Batch
from labbook.models.mlp import MLP
from labbook.training.classifier import Task
from labbook.training.mixup import make_mix
from tests.models.test_architectures import spec_of
from tests.training.test_classifier import trainer

CLASSES = 12  # each image a class of its own, so that the shares tell which images are in it


def mixed(mixup: float, cutmix: float) -> tuple[Tensor, Tensor, Tensor]:
    """A batch, and what becomes of it: images, mixed images, shares."""
    images, labels = torch.randn(CLASSES, 3, 8, 8), torch.arange(CLASSES)
    mix = make_mix(mixup, cutmix, CLASSES)
    assert mix is not None
    before = images.clone()
    made, shares = mix(images, labels)
    assert torch.equal(images, before)
    torch.testing.assert_close(shares.sum(1), torch.ones(CLASSES))
    return images, made, shares


def is_mixup(images: Tensor, made: Tensor, shares: Tensor) -> bool:
    """Whether every image is the sum of all images by their shares."""
    return torch.allclose(made, torch.einsum("nm,mchw->nchw", shares, images), atol=1e-5)


def is_cutmix(images: Tensor, made: Tensor, shares: Tensor) -> bool:
    """Whether every pixel is that of one of two images, and there are as many of each as its share says."""
    own, other = ((made == each).all(1) for each in (images, images.roll(1, 0)))  # [n, H, W]
    return bool((own | other).all()) and torch.allclose(own.float().mean((1, 2)), shares.diagonal())


@pytest.mark.parametrize("seed", range(5))
def test_shares_of_labels_are_those_of_the_pixels(seed: int) -> None:
    torch.manual_seed(seed)
    assert is_mixup(*mixed(1.0, 0.0))
    assert is_cutmix(*mixed(0.0, 1.0))


def test_with_both_each_batch_is_one_of_them() -> None:
    kinds = [(is_mixup(*batch), is_cutmix(*batch)) for batch in (mixed(1.0, 1.0) for _ in range(40))]
    assert all(any(kind) for kind in kinds)
    assert 8 <= sum(one for one, other in kinds if not other) <= 32


def test_alpha_decides_how_even_the_shares_are() -> None:
    smaller = {alpha: torch.stack([mixed(alpha, 0.0)[2][0, 0] for _ in range(60)]) for alpha in (0.1, 20.0)}
    apart = {alpha: (2 * shares - 1).abs().mean() for alpha, shares in smaller.items()}
    assert apart[20.0] < 0.3 < 0.6 < apart[0.1]


def test_both_off_is_nothing() -> None:
    assert make_mix(0.0, 0.0, 10) is None


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_and_accuracy_of_mixed_images(smoothing: float) -> None:
    model = MLP(spec_of(3, 8, CLASSES), Task(mixup=0.7, label_smoothing=smoothing))
    model.trainer = trainer()
    labels = torch.arange(CLASSES)
    batch = Batch(torch.randn(CLASSES, 3, 8, 8), labels, labels, True, 0, 0, 1.0)
    torch.manual_seed(4)
    loss = model.training_step(batch, 0)
    torch.manual_seed(4)
    mix = make_mix(0.7, 0.0, CLASSES)
    assert mix is not None
    images, shares = mix(batch.images, labels)
    logits = model(images)
    targets = (1 - smoothing) * shares + smoothing / CLASSES
    assert loss.item() == pytest.approx(-(targets * logits.log_softmax(1)).sum(1).mean().item(), rel=1e-5)
    assert model._train.state()[1] == (logits.argmax(1) == shares.argmax(1)).sum()


def test_what_is_validated_is_not_mixed() -> None:
    model = MLP(spec_of(3, 8, CLASSES), Task(cutmix=1.0))
    labels = torch.arange(CLASSES)
    batch = Batch(torch.randn(CLASSES, 3, 8, 8), labels, labels, False, 0, 0, 1.0)
    model.validation_step(batch, 0)
    expected = F.cross_entropy(model(batch.images), labels).item()
    assert model._evaluation.state()[0] / CLASSES == pytest.approx(expected, rel=1e-5)
