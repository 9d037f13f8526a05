"""Augmentation of a whole batch at a time in which every image gets its own draw.

Each transform takes pixels [n, C, H, W] of scale 0..255 and what it may draw from. (torchvision's v2 transforms draw
once for a batch.)
"""

from labbook.data.augment.basic import Draw as Draw
from labbook.data.augment.basic import Transform as Transform
from labbook.data.augment.parsing import PRESETS as PRESETS
from labbook.data.augment.parsing import TRANSFORMS as TRANSFORMS
from labbook.data.augment.parsing import parse_transforms as parse_transforms
