"""Patterns: grey maps by which two colours are mixed over an area.

All are drawn at the size at which they are shown, with edges as soft as a pixel.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from vicl.figures.synthetic.scenes.scene import Surface

Map = UInt8[np.ndarray, "h w"]

_TILE = 512
"""Side of the stored noise, in pixels; patterns show windows of it."""

_TURN = np.float32(2 * np.pi)


@lru_cache(maxsize=1)
def noise_tile() -> Map:
    """Smooth grain, equally often of each brightness; the same on every machine."""
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 256, (_TILE, _TILE), dtype=np.uint8)
    coarse = Image.fromarray(rng.integers(0, 256, (_TILE // 3,) * 2, dtype=np.uint8))
    smooth = np.asarray(coarse.resize((_TILE, _TILE), Image.Resampling.BICUBIC))
    tile: Map = (fine // 3 + smooth // 3 * 2).astype(np.uint8)
    tile.setflags(write=False)
    return tile


def window(tile: UInt8[np.ndarray, "s t"], size: tuple[int, int], seed: int) -> Map:
    """A window of a stored picture, at a place that follows from the seed; a view."""
    rows, columns = tile.shape[0] - size[0], tile.shape[1] - size[1]
    if min(rows, columns) < 0:
        repeats = (-(-size[0] // tile.shape[0]), -(-size[1] // tile.shape[1]))
        return np.tile(tile, repeats)[: size[0], : size[1]]
    # Two numbers of a hash, for neighbouring seeds must give windows far apart.
    top = (seed * 2654435761 >> 7) % (rows + 1)
    left = (seed * 2246822519 >> 5) % (columns + 1)
    return tile[top : top + size[0], left : left + size[1]]


def clouds(size: tuple[int, int], scale: float, seed: int) -> Map:
    """Random fields of three widths on top of each other, stretched to all brightnesses.

    Args:
        size: (height, width) in pixels.
        scale: Width of the widest clouds, a share of the area.
        seed: Of the random numbers.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    total = np.zeros(size, np.float32)
    cells = max(2, round(1 / scale))
    for octave in range(3):
        count = cells << octave
        field = Image.fromarray(rng.random((count, count), dtype=np.float32))
        total += np.asarray(field.resize((width, height), Image.Resampling.BICUBIC)) / (1 << octave)
    low, high = float(total.min()), float(total.max())
    return _bytes((total - np.float32(low)) / np.float32(max(high - low, 1e-6)))


def mosaic(size: tuple[int, int], scale: float, seed: int) -> Map:
    """Pieces of about one size, each of one brightness, with dark joints between them.

    Args:
        size: (height, width) in pixels.
        scale: Width of a piece, a share of the area.
        seed: Of places and brightnesses.
    """
    rng = np.random.default_rng(seed)
    cells = max(2, round(1 / scale))
    grid = np.indices((cells, cells)).reshape(2, -1).T
    centres = ((grid + rng.random((cells * cells, 2))) / cells).astype(np.float32)
    y = (np.arange(size[0], dtype=np.float32) + 0.5) / size[0]
    x = (np.arange(size[1], dtype=np.float32) + 0.5) / size[1]
    away = (y[:, None, None] - centres[:, 0]) ** 2 + (x[:, None] - centres[:, 1]) ** 2
    piece = away.argmin(axis=-1)
    nearest = np.partition(away, 1, axis=-1)[..., :2]
    joint = np.sqrt(nearest[..., 1]) - np.sqrt(nearest[..., 0]) < 0.1 * scale
    levels = rng.integers(90, 256, len(centres), dtype=np.uint8)
    pieces: Map = np.where(joint, np.uint8(0), levels[piece])
    return pieces


def _soft(wave: Float32[np.ndarray, "h w"], pixels: float) -> Map:
    """A wave from -1 to 1 as two levels, with edges one pixel wide.

    Args:
        wave: Negative and positive parts are the two levels.
        pixels: Its period.
    """
    return _cut(wave * np.float32(max(pixels, 2) / 6))


def _cut(share: Float32[np.ndarray, "h w"]) -> Map:
    """From [-0.5, 0.5], and what lies beyond, to [0, 255]; the array is written over."""
    share += np.float32(0.5)
    np.maximum(share, 0, out=share)
    np.minimum(share, 1, out=share)
    return _bytes(share)


def _bytes(share: Float32[np.ndarray, "h w"]) -> Map:
    """From [0, 1] to [0, 255]."""
    levels: Map = (share * np.float32(255)).astype(np.uint8)
    return levels


def pattern(
    texture: str,
    surface: Surface,
    x: Float32[np.ndarray, "_ w"],
    y: Float32[np.ndarray, "h _"],
    *,
    extent: float,
    side: int,
) -> Map:
    """One of the textures: 0 where the main colour shows, 255 where the second does.

    Args:
        texture: One of `TEXTURES` but "plain" and "noise" (a window of :func:`noise_tile`); or
            "core", a disc in the middle.
        surface: Its scale and angle are taken.
        x: Coordinates in the frame of the thing, shares of the cell; a row of them will do.
        y: Likewise, downwards; a column will do.
        extent: Half the width over which a gradient runs.
        side: Of the cell, in pixels.

    Raises:
        ValueError: If the texture is unknown.
    """
    cos, sin = np.float32(math.cos(surface.angle)), np.float32(math.sin(surface.angle))
    across = x * cos + y * sin
    if texture == "gradient":
        across /= np.float32(2 * extent)
        return _cut(across)
    turn = _TURN / np.float32(surface.scale)
    pixel = 1 / side
    pixels = surface.scale / pixel
    if texture == "stripes":
        across *= turn
        return _soft(np.sin(across, out=across), pixels)
    down = y * cos - x * sin
    if texture in ("core", "rings"):
        away = np.sqrt(across * across + down * down)
        if texture == "rings":
            return _soft(np.sin(away * turn), pixels)
        return _cut((np.float32(0.45 * extent) - away) / np.float32(pixel))
    across *= turn
    down *= turn
    if texture == "checks":
        return _soft(np.sin(across, out=across) * np.sin(down, out=down), pixels)
    if texture == "dots":
        waves = np.cos(across, out=across) + np.cos(down, out=down)
        return _soft(waves / 2 - np.float32(0.3), pixels)
    raise ValueError(
        f"texture: got {texture!r}, expected plain, noise, stripes, checks, dots, rings, core or "
        "gradient"
    )
