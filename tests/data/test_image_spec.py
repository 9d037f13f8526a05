"""What a model is told of its images."""

import pytest
import torch

from labbook.data.image_spec import ImageSpec
from tests.data.samples import noise

SPEC = ImageSpec(3, 4, ("ape", "bee"), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16])
def test_normalizing_is_subtracting_the_mean_and_dividing_by_the_deviation(dtype: torch.dtype) -> None:
    pixels = noise(5, 3, 4, 4).to(dtype)
    before = pixels.clone()
    normalized = SPEC.normalize(pixels)
    assert normalized.dtype == torch.float32
    assert torch.equal(pixels, before)
    for channel in range(3):
        expected = (before[:, channel].double() / 255 - SPEC.mean[channel]) / SPEC.std[channel]
        torch.testing.assert_close(normalized[:, channel].double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_memory_layout_changes_no_bit_of_normalized_images(dtype: torch.dtype) -> None:
    pixels = noise(5, 3, 6, 6)[..., 1:5, 1:5].to(dtype)
    expected = SPEC.normalize(pixels.contiguous())
    layouts = (torch.contiguous_format, torch.channels_last)
    for given in (pixels, *(pixels.contiguous(memory_format=layout) for layout in layouts)):
        assert torch.equal(SPEC.normalize(given), expected)
        for layout in layouts:
            out = torch.empty(given.shape, memory_format=layout)
            assert SPEC.normalize(given, out) is out
            assert torch.equal(out, expected)


def test_classes_are_counted_by_their_names() -> None:
    assert SPEC.num_classes == 2
