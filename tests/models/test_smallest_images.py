"""Networks of a user's own that do not say how small their images may be."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from labbook.data.image_spec import ImageSpec
from labbook.errors import SettingError
from labbook.models.smallest_images import check_image_size
from labbook.training.classifier import Classifier
from tests.models.conftest import spec_of


class Pooling(Classifier):
    """Two poolings, whose last layer is made for what they leave."""

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__(spec)
        self.features = nn.Sequential(nn.Conv2d(spec.channels, 4, 3), nn.MaxPool2d(2), nn.MaxPool2d(2))
        self.head = nn.Linear(4 * ((spec.size - 2) // 4) ** 2, spec.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images).flatten(1))
        return logits


class Adaptive(Pooling):
    """Without a layer that depends on the size."""

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__(spec)
        self.features.append(nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(4, spec.num_classes)


class Broken(Pooling):
    """A mistake that no size mends."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) @ torch.ones(3, 3)


@pytest.mark.parametrize("network", [Pooling, Adaptive])
@pytest.mark.parametrize("size", [2, 5])
def test_images_too_small_are_refused_with_the_smallest_that_work(
    network: Callable[[ImageSpec], Classifier], size: int
) -> None:
    before = torch.get_rng_state()
    with pytest.raises(SettingError) as error:
        check_image_size(network, spec_of(1, size, 10))
    assert str(error.value).startswith(f"the network does not take images of {size} pixels (")
    assert str(error.value).endswith("use data.image_size=6 or more")
    check_image_size(network, spec_of(1, 6, 10))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_no_size_mends_is_not_said_to_be_the_size() -> None:
    check_image_size(Broken, spec_of(1, 4, 10))
    check_image_size(Broken, spec_of(1, 28, 10))
