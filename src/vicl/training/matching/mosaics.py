"""Mosaics of textures: every border is between two of them, and nothing within one is a border.

From photographs of things alone a network learns that strong gradients are outlines; where parts
of photographs are laid as tiles, mirrored at their joints, the strongest are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.random import Generator
from PIL import Image

from vicl.training.matching.scenes import Labelled

_REGIONS = (2, 8)
_PATCH = (24, 110)
"""Sides of the parts of photographs that are laid as tiles, in pixels."""

_SCALES = (0.6, 2.5)
"""By which such a part is enlarged."""

_PLAIN = 0.15
"""Chance that a region is of one colour."""

_STEPS = 2.0


def compose_mosaic(
    rng: Generator, grounds: Sequence[UInt8[np.ndarray, "_h _w 3"]], side: int
) -> Labelled:
    """A square of regions with a texture each; the regions are its objects.

    Args:
        rng: Decides.
        grounds: Photographs, at least 110 pixels a side, that textures are cut from.
        side: Of the square, in pixels.
    """
    regions = _regions(rng, int(rng.integers(*_REGIONS)), side)
    picture = np.zeros((side, side, 3), np.float32)
    for region in range(int(regions.max()) + 1):
        texture = _texture(rng, grounds[int(rng.integers(len(grounds)))], side)
        picture[regions == region] = texture[regions == region]
    from scipy import ndimage

    blurred = ndimage.gaussian_filter(picture, (*(float(rng.uniform(0, 1.2)),) * 2, 0))
    noisy = blurred + rng.normal(0, rng.uniform(0, 6), blurred.shape)
    labels = np.ones((side, side), np.uint8)
    return Labelled(np.clip(noisy, 0, 255).astype(np.uint8), labels, {}, regions + 1)


def _regions(rng: Generator, count: int, side: int) -> Int[np.ndarray, "s s"]:
    """Numbers of regions, from 0: with winding borders, or about straight ones."""
    if rng.random() < 0.5:
        fields = [_field(rng, side, rng.uniform(0.03, 0.16)) for _ in range(count)]
        found = np.argmax(fields, 0)
        return np.asarray(found, np.int32)
    places = np.mgrid[:side, :side] + 0.5
    bent = places + [_field(rng, side, 0.04) * rng.uniform(0, 0.02) * side for _ in range(2)]
    centres = rng.uniform(0, side, (count, 2, 1, 1))
    return np.asarray(((bent - centres) ** 2).sum(1).argmin(0), np.int32)


def _field(rng: Generator, side: int, smoothness: float) -> Float[np.ndarray, "s s"]:
    """Smooth noise of variance 1; smoothness is a share of the side."""
    from scipy import ndimage

    # On a grid of two steps a width: a wide filter costs its width at every pixel.
    coarse = rng.normal(size=(round(_STEPS / smoothness),) * 2).astype(np.float32)
    smooth = Image.fromarray(ndimage.gaussian_filter(coarse, _STEPS, mode="wrap"))
    found = np.asarray(smooth.resize((side, side), Image.Resampling.BICUBIC))
    return np.asarray(found / found.std())


def _texture(
    rng: Generator, ground: UInt8[np.ndarray, "h w 3"], side: int
) -> Float[np.ndarray, "s s 3"]:
    """A part of a photograph, mirrored over the whole square, in a light of its own."""
    size = min(int(rng.integers(*_PATCH)), *ground.shape[:2])
    top, left = (int(rng.integers(length - size + 1)) for length in ground.shape[:2])
    wanted = max(16, round(size * float(rng.uniform(*_SCALES))))
    part = Image.fromarray(np.ascontiguousarray(ground[top : top + size, left : left + size]))
    patch = np.asarray(part.resize((wanted, wanted), Image.Resampling.BICUBIC), np.float32)
    if rng.random() < _PLAIN:
        patch = np.broadcast_to(patch.mean((0, 1)), patch.shape)
    start = rng.integers(0, 2 * wanted, 2)
    rows, columns = (_mirrored(int(first), side, wanted) for first in start)
    light = 1 + float(rng.uniform(0, 0.2)) * _field(rng, side, 0.17)
    return np.asarray(patch[rows][:, columns] * light[..., None], np.float32)


def _mirrored(start: int, count: int, size: int) -> Int[np.ndarray, " n"]:
    """Positions 0, 1, ..., size - 1, size - 1, ..., 1, 0, 0, 1, ... from one on."""
    along = (start + np.arange(count)) % (2 * size)
    return np.minimum(along, 2 * size - 1 - along)
