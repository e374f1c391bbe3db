"""Surfaces that rise towards the viewer: their heights, slopes and shading."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageFilter

from vicl.canvas.rects import Rect
from vicl.figures.synthetic.scenes.outlines import reach
from vicl.figures.synthetic.scenes.scene import Thing


@lru_cache(maxsize=2)
def frame(
    thing: Thing, size: tuple[int, int], box: Rect
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Coordinates of a box's pixels in the thing's own frame, shares of the cell.

    The last are kept, for a thing's texture and its relief ask for the same.

    Args:
        thing: Which.
        size: (height, width) of the cell.
        box: In the cell, in pixels.

    Returns:
        x and y; not to be written to.
    """
    left = np.float32(box.left + 0.5 - thing.centre[1] * size[1])
    top = np.float32(box.top + 0.5 - thing.centre[0] * size[0])
    x = (np.arange(box.width, dtype=np.float32) + left) / np.float32(min(size))
    y = (np.arange(box.height, dtype=np.float32) + top)[:, None] / np.float32(min(size))
    cos, sin = np.float32(math.cos(thing.angle)), np.float32(math.sin(thing.angle))
    along = x * cos + y * sin
    return (np.negative(along, out=along) if thing.mirrored else along), y * cos - x * sin


def heights(
    thing: Thing, covered: Image.Image, size: tuple[int, int], box: Rect
) -> Float32[np.ndarray, "h w"]:
    """How far a thing's surface rises above its rim.

    Args:
        thing: Which.
        covered: Its `Stamp.cover`.
        size: (height, width) of the cell in pixels.
        box: Its `Stamp.box`.

    Returns:
        Shares of the cell, 0 for what is flat.
    """
    if thing.relief == "flat":
        return np.zeros(box.size, np.float32)
    if thing.relief == "bevel":
        soft = covered.filter(ImageFilter.BoxBlur(max(1.0, 0.03 * min(size))))
        return np.asarray(soft, np.float32) * np.float32(0.05 / 255)
    x, y = frame(thing, size, box)
    far = np.float32(thing.size * reach(thing.shape, thing.seed))
    # One array after the other is written over: small ones cost more to make than to fill.
    rise = x * np.float32(1 / max(thing.aspect, 1e-3))
    rise *= rise
    rise += y * y
    np.sqrt(rise, out=rise)
    rise /= far
    np.minimum(rise, np.float32(1), out=rise)
    if thing.relief == "dome":
        rise *= rise
    np.subtract(np.float32(1), rise, out=rise)
    if thing.relief == "dome":
        np.sqrt(rise, out=rise)
    rise *= np.float32(thing.size)
    return rise


def slopes(
    height: Float32[np.ndarray, "h w"], side: int
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """How a surface rises to the right and downwards: its differences, height per width."""
    right, down = np.zeros(height.shape, np.float32), np.zeros(height.shape, np.float32)
    np.subtract(height[:, 2:], height[:, :-2], out=right[:, 1:-1])
    np.subtract(height[2:], height[:-2], out=down[1:-1])
    right *= np.float32(side / 2)
    down *= np.float32(side / 2)
    return right, down


def shaded(
    paint: Image.Image | tuple[int, int, int],
    covered: Image.Image,
    thing: Thing,
    size: tuple[int, int],
    box: Rect,
    angle: float,
    shading: float,
) -> Image.Image:
    """Light a relief from one side: brighter where it faces the light.

    Args:
        paint: What it shows in even light, mode RGB; or one colour, 0 to 255.
        covered: Its `Stamp.cover`.
        thing: Which.
        size: (height, width) of the cell in pixels.
        box: Its `Stamp.box`.
        angle: Of the light, see `Light`.
        shading: How strong, in [0, 1].
    """
    right, down = slopes(heights(thing, covered, size, box), min(size))
    light = right * np.float32(-math.cos(angle))
    light -= down * np.float32(math.sin(angle))
    # The normal is (-right, -down, 1) made a unit vector; the light stands 45 degrees high.
    light += 1
    right *= right
    down *= down
    right += down
    right += 1
    right *= 2
    light /= np.sqrt(right, out=right)
    light *= np.float32(shading * 2**0.5)
    light += np.float32(1 - shading)
    # What is brighter than white shines: the excess goes to all channels.
    excess = light - np.float32(1.15)
    np.maximum(excess, 0, out=excess)
    excess *= np.float32(200 * shading)
    lit = np.empty((*box.size, 3), np.uint8)
    shown = np.asarray(paint, np.float32)
    for channel in range(3):
        plane = light * shown[..., channel]
        plane += excess
        np.maximum(plane, 0, out=plane)
        np.minimum(plane, 255, out=plane)
        lit[..., channel] = plane
    return Image.frombytes("RGB", (box.width, box.height), lit)
