"""From a photograph of any size to a canvas: at random for training, centred for looking.

Pictures are Pillow's, 8-bit RGB, and are resized by its antialiased bicubic filter, as in the
published training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt, UInt8
from PIL import Image
from torch import Tensor

from vicl.canvas.rects import Rect
from vicl.training.recipe.data import Augmentation

_ATTEMPTS = 10


class Crop(NamedTuple):
    """What an augmentation makes of an image, whatever the size that it is brought to.

    Attributes:
        rect: The part that is cut out, in pixels of the image.
        mirrored: Whether left and right are exchanged.
    """

    rect: Rect
    mirrored: bool

    def of(self, image: Image.Image, size: tuple[int, int]) -> UInt8[Tensor, "3 H W"]:
        """Cut it out of an image, and bring it to a size.

        Args:
            image: Mode RGB.
            size: (height, width) in pixels.
        """
        rect = self.rect
        # Cut first: Pillow's own `box` would let pixels outside of it in through the filter.
        part = image.crop((rect.left, rect.top, rect.right, rect.bottom))
        resized = part.resize(size[::-1], Image.Resampling.BICUBIC)
        if self.mirrored:
            resized = resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return pixels(resized)


@dataclass(frozen=True, eq=False)
class NamedCrops:
    """Crops of an image that were drawn, and whose codes were named, beforehand.

    Attributes:
        crops: At least one.
        codes: Of each crop, brought to the canvas' size, in raster order.
    """

    crops: tuple[Crop, ...]
    codes: UInt[np.ndarray, "k n"]


def augment(
    image: Image.Image,
    size: tuple[int, int],
    augmentation: Augmentation,
    generator: np.random.Generator,
) -> UInt8[Tensor, "3 H W"]:
    """Cut out a random part, bring it to a size, and mirror it or not.

    Args:
        image: Mode RGB.
        size: (height, width) in pixels.
        augmentation: How much is cut out, and whether to mirror.
        generator: What is drawn depends on nothing else.
    """
    return draw_crop((image.height, image.width), augmentation, generator).of(image, size)


def draw_crop(
    size: tuple[int, int], augmentation: Augmentation, generator: np.random.Generator
) -> Crop:
    """Draw a random part of an image, and whether it is mirrored.

    Args:
        size: (height, width) of the image.
        augmentation: How much is cut out, and whether to mirror.
        generator: What is drawn depends on nothing else.
    """
    rect = draw_rect(size, augmentation, generator)
    return Crop(rect, bool(augmentation.flip and generator.random() < 0.5))


def draw_rect(
    size: tuple[int, int], augmentation: Augmentation, generator: np.random.Generator
) -> Rect:
    """Draw the part of an image that is looked at, as torchvision's RandomResizedCrop does.

    The share of the area is uniform, and so is the logarithm of width : height.  Where ten draws
    do not fit into the image, it is the largest central part of an allowed ratio.

    Args:
        size: (height, width) of the image.
        augmentation: The limits of both.
        generator: What is drawn depends on nothing else.
    """
    height, width = size
    low, high = (math.log(ratio) for ratio in augmentation.ratio)
    for _ in range(_ATTEMPTS):
        area = height * width * generator.uniform(*augmentation.scale)
        ratio = math.exp(generator.uniform(low, high))
        crop_height, crop_width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < crop_height <= height and 0 < crop_width <= width:
            top = int(generator.integers(height - crop_height + 1))
            left = int(generator.integers(width - crop_width + 1))
            return Rect(top, left, crop_height, crop_width)
    ratio = min(max(width / height, augmentation.ratio[0]), augmentation.ratio[1])
    crop_height = max(1, min(height, round(width / ratio)))
    crop_width = max(1, min(width, round(height * ratio)))
    return Rect((height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width)


def centre(image: Image.Image, size: tuple[int, int]) -> UInt8[Tensor, "3 H W"]:
    """Bring the middle of an image to a size: nothing is random, nothing is distorted.

    Args:
        image: Mode RGB; resized until it just covers the canvas, then cut on both sides.
        size: (height, width) in pixels.
    """
    scale = max(size[0] / image.height, size[1] / image.width)
    height = max(size[0], round(image.height * scale))
    width = max(size[1], round(image.width * scale))
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    return pixels(resized.crop((left, top, left + size[1], top + size[0])))


def pixels(image: Image.Image) -> UInt8[Tensor, "3 h w"]:
    """The pixels of an image of mode RGB, in [0, 255]."""
    # A copy: Pillow's own memory is read-only.
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
