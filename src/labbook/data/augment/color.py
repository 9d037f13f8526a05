"""Changes of colors with an amount for each image, as torchvision's functions of the same names."""

import torch
import torch.nn.functional as F
from torch import Tensor

GREY = (0.2989, 0.587, 0.114)  # ITU-R BT.601, with torchvision's digits
SMOOTH = torch.tensor([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13  # of Pillow's SMOOTH filter


def per_image(amounts: Tensor) -> Tensor:
    """[n] -> [n, 1, 1, 1]."""
    return amounts.view(-1, 1, 1, 1)


def blend(images: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    """Factor 0: `others`, 1: `images`, also beyond; pixels 0..255 float [n, C, H, W], factors [n]."""
    return torch.lerp(others, images, per_image(factors)).clamp_(0, 255)


def grey(images: Tensor) -> Tensor:
    """The brightness of each pixel, [n, 1, H, W]."""
    if images.shape[1] == 1:
        return images
    red, green, blue = torch.split(images, 1, 1)
    return (GREY[0] * red).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2])


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Factor 0: black, 1: the image."""
    return (images * per_image(factors)).clamp_(0, 255)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Factor 0: the mean brightness, 1: the image."""
    return blend(images, grey(images).mean((1, 2, 3), keepdim=True).expand_as(images), factors)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Factor 0: without color, 1: the image."""
    return blend(images, grey(images).expand_as(images), factors) if images.shape[1] > 1 else images


def sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Factor 0: smoothed by a filter of 3 x 3 pixels, 1: the image; the border stays."""
    channels = images.shape[1]
    kernel = SMOOTH.to(images).expand(channels, 1, 3, 3)
    smooth = images.clone()
    if min(images.shape[2:]) > 2:
        smooth[..., 1:-1, 1:-1] = F.conv2d(images, kernel, groups=channels)
    return blend(images, smooth, factors)


def hue(images: Tensor, shifts: Tensor) -> Tensor:
    """The hue rotated by `shifts` (fractions of a turn, [n]); grey images have no hue."""
    if images.shape[1] == 1:
        return images
    most, place = images.max(1)  # [n, H, W]
    least = images.amin(1)
    spread = most - least
    red, green, blue = images.unbind(1)
    safe = torch.where(spread > 0, spread, 1)
    sector = torch.stack([(green - blue) / safe, 2 + (blue - red) / safe, 4 + (red - green) / safe])
    turned = sector.gather(0, place.unsqueeze(0)).squeeze(0) / 6 + shifts.view(-1, 1, 1)
    # Each channel is a wave of the hue, between the least and the most (Smith, 1978, in the form of a clamp).
    offsets = images.new_tensor([0, 2 / 3, 1 / 3]).view(1, 3, 1, 1)
    wave = (((turned.unsqueeze(1) + offsets) % 1 * 6 - 3).abs() - 1).clamp(0, 1)
    return least.unsqueeze(1) + spread.unsqueeze(1) * wave


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """The highest `bits` of each pixel, int64 [n]."""
    step = per_image(2.0 ** (8 - bits))
    return (images.round() / step).floor() * step


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """Pixels at or above the threshold, [n], inverted."""
    inverted = (images >= per_image(thresholds)).to(images.dtype)  # torch.where is slower on a CPU
    return (images - 255 * inverted).abs_()


def autocontrast(images: Tensor) -> Tensor:
    """Each channel of each image stretched to 0..255; a channel of one value stays."""
    images = images.contiguous()  # faster than one value per channel in another layout
    least, most = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    flat = least == most
    scale = torch.where(flat, 1, 255 / (most - least))
    return (images - torch.where(flat, 0, least)) * scale


def equalize(images: Tensor) -> Tensor:
    """Histogram equalization of each channel of each image, as in Pillow."""
    n, channels, height, width = images.shape
    shades = images.contiguous().round().long().view(n * channels, -1)
    counts = torch.zeros(n * channels, 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(1, shades, torch.ones_like(shades))
    last = counts.gather(1, shades.amax(1, keepdim=True))  # of the brightest value
    step = (height * width - last) // 255
    table = (counts.cumsum(1) - counts + step // 2) // step.clamp(min=1)
    table = torch.where(step == 0, torch.arange(256, device=images.device), table.clamp(0, 255))
    return table.gather(1, shades).view_as(images).to(images.dtype)


def blur(images: Tensor, sigmas: Tensor, size: int) -> Tensor:
    """Gaussian blur of `size` (odd) pixels with a standard deviation per image, [n]; edges are reflected."""
    n, channels, height, _ = images.shape
    places = torch.arange(size, device=images.device) - size // 2
    weights = (-(places**2) / (2 * sigmas.view(-1, 1) ** 2)).exp()
    weights = (weights / weights.sum(1, keepdim=True)).to(images.dtype).repeat_interleave(channels, 0)  # [n * C, size]
    padded = F.pad(images, (size // 2,) * 4, mode="reflect").reshape(1, n * channels, height + size - 1, -1)
    across = F.conv2d(padded, weights.view(-1, 1, 1, size), groups=n * channels)
    return F.conv2d(across, weights.view(-1, 1, size, 1), groups=n * channels).view_as(images)
