"""Augmentation of whole batches, with other random numbers for each image.

Each transform takes pixels 0..255 [n, C, H, W] and a `Draw`. (torchvision's v2 transforms draw once for a batch.)
"""

from labbook.data.augment.basic import Draw as Draw
from labbook.data.augment.basic import Transform as Transform
from labbook.data.augment.parsing import PRESETS as PRESETS
from labbook.data.augment.parsing import TRANSFORMS as TRANSFORMS
from labbook.data.augment.parsing import parse_transforms as parse_transforms
