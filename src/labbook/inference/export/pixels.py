"""From an image file to the pixels that an exported network takes, exactly as the program itself makes them."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from labbook.data.decoding import Decoding, decode

GREY = (0.299, 0.587, 0.114)  # ITU-R 601 luma, as Pillow converts
BITS_OF_WEIGHTS = 15


def read_image(file: str | Path, about: Mapping[str, str]) -> np.ndarray:
    """The image in a file as uint8 [1, C, size, size]; `about` is what the exported file says of its network.

    Raises:
        ValueError: the file holds no image that can be read.
    """
    told = json.loads(about["decoding"])
    span = tuple(told["range"]) if isinstance(told["range"], list) else told["range"]
    decoded = decode(Path(file), Decoding(**(told | {"range": span})))
    if decoded.image is None:
        raise ValueError(f"{file} {decoded.problem}")
    return shaped_image(decoded.image, int(about["image_size"]), int(about["channels"]))[None]


def classes_of(probabilities: np.ndarray, about: Mapping[str, str]) -> list[str]:
    """The classes of one image by its probabilities [classes]: the likeliest, or all above their thresholds.

    The latter where images have several classes, so that there may be none.
    """
    names = json.loads(about["classes"])
    if "thresholds" not in about:
        return [names[int(np.argmax(probabilities))]]
    pairs = zip(names, probabilities > np.array(json.loads(about["thresholds"])), strict=True)
    return [name for name, there in pairs if there]


def shaped_image(image: np.ndarray, size: int, channels: int) -> np.ndarray:
    """An image uint8 [C, h, w] with 1 or 3 channels and a square size, as `data.pixels.resize_and_convert` makes it."""
    if len(image) == 1 and channels == 3:
        image = image.repeat(3, 0)
    elif len(image) == 3 and channels == 1:
        weighted = image.astype(np.float32) * np.array(GREY, np.float32)[:, None, None]
        image = weighted.sum(0, keepdims=True).round().astype(np.uint8)
    if image.shape[1:] == (size, size):
        return image
    if size == 1:
        weights = [resize_weights(side, size) for side in image.shape[1:]]
        whole = np.einsum("ih,jw,chw->cij", *weights, image.astype(np.float64))
        return np.asarray(whole.astype(np.float32).round().astype(np.uint8))
    return resize_axis(resize_axis(image, size, 2), size, 1)


def resize_axis(image: np.ndarray, size: int, axis: int) -> np.ndarray:
    """An image uint8 resized along one axis, with torch's weights, which are whole numbers of 16 bits."""
    weights = resize_weights(image.shape[axis], size)
    bits = next((bits for bits in range(22) if int(0.5 + weights.max() * 2 ** (bits + 1)) >= 2**BITS_OF_WEIGHTS), 22)
    whole = (0.5 + weights * 2**bits).astype(np.int64)
    summed = np.tensordot(whole, image.astype(np.int64), (1, axis))
    return np.moveaxis(((summed + 2 ** (bits - 1)) >> bits).clip(0, 255).astype(np.uint8), 0, axis)


def resize_weights(before: int, after: int) -> np.ndarray:
    """How much of each pixel is in each new one: bilinear and antialiased, float64 [after, before]."""
    scale = before / after
    reach = max(scale, 1.0)
    centres = scale * (np.arange(after) + 0.5)[:, None]
    places = np.arange(before)[None]
    first = np.maximum((centres - reach + 0.5).astype(np.int64), 0)
    end = np.minimum((centres + reach + 0.5).astype(np.int64), before)
    weights = np.maximum(1 - np.abs((places - centres + 0.5) / reach), 0) * ((places >= first) & (places < end))
    return np.asarray(weights / weights.sum(1, keepdims=True))
