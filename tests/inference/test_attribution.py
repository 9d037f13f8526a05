"""Which pixels mattered, of networks whose answer is known."""

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("captum", reason="needs the extra: make setup EXTRAS=serve")

from labbook.inference.serve import explain
from labbook.inference.serve.explain import METHODS, attribute, blank_images, heat_map_of

pytestmark = pytest.mark.extra


def small() -> nn.Module:
    """A network of 3 classes that is no straight line."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 3)).eval()


def one_pixel(images: Tensor) -> Tensor:
    """Scores of which that of class 1 is told by one number alone."""
    return torch.stack([images.sum((1, 2, 3)), 3 * images[:, 1, 2, 5]], dim=1)


@pytest.mark.parametrize("method", METHODS)
def test_as_large_as_the_image(method: str) -> None:
    image = torch.rand(1, 2, 8, 8)
    found = attribute(method, small(), image, 2)
    assert found.shape == image.shape
    assert found.isfinite().all()
    assert found.abs().sum() > 0
    assert not found.requires_grad


def test_integrated_gradients_add_up() -> None:
    network, image = small(), torch.rand(1, 2, 8, 8)
    difference = (network(image) - network(blank_images(image)))[0, 2].item()
    assert attribute("Integrated gradients", network, image, 2).sum().item() == pytest.approx(
        difference, rel=0.02, abs=1e-3
    )


@pytest.mark.parametrize("method", ["Integrated gradients", "Saliency"])
def test_the_one_pixel_that_matters_gets_all(method: str) -> None:
    image = torch.rand(1, 2, 8, 8)
    found = attribute(method, one_pixel, image, 1)
    where = torch.zeros_like(image, dtype=torch.bool)
    where[0, 1, 2, 5] = True
    assert found[where].abs().item() > 0.01
    assert not found[~where].any()


def test_covering_the_one_pixel_that_matters_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(1, 2, 8, 8)  # windows of one pixel
    image[0, 1, 2, 5] = 7
    found = attribute("Occlusion", one_pixel, image, 1)
    assert found[0, :, 2, 5].tolist() == pytest.approx([3 * (7 - blank_images(image)[0, 1, 0, 0].item())] * 2)
    found[0, :, 2, 5] = 0
    assert found.abs().max() < 1e-5


def test_a_blank_picture_has_the_colour_of_the_border() -> None:
    image = torch.zeros(1, 2, 5, 5)
    image[0, 1, 1:4, 1:4] = 9
    image[0, 0] = 2
    image[0, 0, 0, 0] = 50
    assert torch.equal(blank_images(image), torch.tensor([2.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 5, 5))


def test_heat_is_scaled_and_keeps_the_sign() -> None:
    attributions = torch.zeros(1, 2, 10, 10)
    attributions[0, 0, 3, 3], attributions[0, 1, 3, 3], attributions[0, 1, 7, 7] = 4, 1, -5
    shown = heat_map_of(attributions)
    assert (shown[3, 3].item(), shown[7, 7].item(), shown.abs().sum().item()) == (1, -1, 2)
    assert not heat_map_of(torch.zeros(1, 1, 4, 4)).any()


def test_large_images_are_covered_by_few_windows() -> None:
    seen = []

    def network(images: Tensor) -> Tensor:
        seen.append(len(images))
        return images.mean((2, 3))

    attribute("Occlusion", network, torch.rand(1, 1, 96, 96), 0)
    assert sum(seen) < 300
    assert max(seen) <= explain.AT_ONCE
