"""An image as the engine of masks looks at it: stretched to the working size, and encoded.

Every image is stretched to the same square, so that one place means the same in all of them.
Arrays are float32, channels last.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vicl.encoders.handmade import SHAPES, HandMade, blur
from vicl.engine import Encoder
from vicl.images import resize
from vicl.models.analogies.shapes import Map

_ENCODER: Final[Encoder] = HandMade()

WORKING_SIZE: Final = 128
"""Side of the square that images are stretched to, in pixels."""

GRID: Final = WORKING_SIZE // _ENCODER.strides[-1]
"""Rows, and columns, of the points that correspondence is sought between."""


@dataclass(frozen=True, eq=False)
class View:
    """An image at the working size, encoded.

    Attributes:
        pixels: Appearance of each pixel: Lab first, how it stands out last.
        shapes: Oriented gradients around each grid point.
        tints: Colours around each grid point.
        histogram: Share of the pixels in each bin of colour; sums to 1.
    """

    pixels: Float[np.ndarray, "s s f"]
    shapes: Float[np.ndarray, "g g d"]
    tints: Float[np.ndarray, "g g e"]
    histogram: Float[np.ndarray, " b"]

    @property
    def inside(self) -> Map:
        """How little a pixel's region is connected to the border, [0, 1]."""
        return self.pixels[..., -2]

    @property
    def contrast(self) -> Map:
        """How much its region differs from the background around it, [0, 1]."""
        return self.pixels[..., -1]

    @cached_property
    def colours(self) -> Float[np.ndarray, "s s c"]:
        """Colour alone, at three scales: for learning within one image."""
        lab = self.pixels[..., :3]
        return np.concatenate([blur(lab, sigma) for sigma in (1.0, 3.0, 8.0)], axis=-1)


def describe(image: Float[Tensor, "3 h w"]) -> View:
    """Look at an RGB image in [0, 1], of any size."""
    features = _ENCODER.encode(resize(image, (WORKING_SIZE, WORKING_SIZE))[None])
    pixels, points = (level[0].permute(1, 2, 0).cpu().numpy() for level in features.levels)
    return View(pixels, points[..., :SHAPES], points[..., SHAPES:], features.whole[0].cpu().numpy())
