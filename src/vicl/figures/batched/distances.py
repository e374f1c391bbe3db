"""Signed distances to the outlines of shapes, as a stack of small maps."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float32

from vicl.figures.scenes.outlines import Points, hole, outline
from vicl.figures.scenes.scene import SHAPES

SPAN = 1.25
"""The maps cover the box from -SPAN to SPAN; outlines fill it from -1 to 1."""

_SIDE = 96


@lru_cache(maxsize=1)
def distance_maps() -> Float32[np.ndarray, "shapes side side"]:
    """How far each point is outside of each shape of `SHAPES`, in units of half its box.

    Negative inside; exact at the centres of the maps' pixels.
    """
    maps = []
    for shape in SHAPES:
        distance = _signed(outline(shape))
        cut = hole(shape)
        maps.append(distance if cut is None else np.maximum(distance, -_signed(cut)))
    stack = np.stack(maps)
    stack.setflags(write=False)
    return stack


def _signed(corners: Points) -> Float32[np.ndarray, "side side"]:
    """Distance of each point of a map to a polygon, negative inside."""
    along = (np.arange(_SIDE, dtype=np.float32) + 0.5) * np.float32(2 * SPAN / _SIDE)
    x, y = (values[..., None] for values in np.meshgrid(along - SPAN, along - SPAN))
    start, end = corners, np.roll(corners, -1, axis=0)
    way = end - start
    length = (way**2).sum(axis=1)
    # The nearest point of each edge: its share of the way, kept between the ends.
    share = ((x - start[:, 0]) * way[:, 0] + (y - start[:, 1]) * way[:, 1]) / length
    share = np.clip(share, 0, 1)
    away = np.hypot(x - start[:, 0] - share * way[:, 0], y - start[:, 1] - share * way[:, 1])
    distance: Float32[np.ndarray, "side side"] = away.min(axis=-1).astype(np.float32)
    return np.where(_inside(x, y, start, end), -distance, distance)


def _inside(
    x: Float32[np.ndarray, "side side 1"],
    y: Float32[np.ndarray, "side side 1"],
    start: Points,
    end: Points,
) -> Bool[np.ndarray, "side side"]:
    """Whether a ray to the right crosses the polygon an odd number of times."""
    crosses = (start[:, 1] > y) != (end[:, 1] > y)
    rise = end[:, 1] - start[:, 1]
    slope = (end[:, 0] - start[:, 0]) / np.where(rise == 0, np.float32(1), rise)
    right = x < start[:, 0] + (y - start[:, 1]) * slope
    odd: Bool[np.ndarray, "side side"] = (crosses & right).sum(axis=-1) % 2 == 1
    return odd
