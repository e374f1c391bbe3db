"""Backgrounds: everything that lies behind the things of a scene."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from vicl.figures.synthetic.scenes.patterns import (
    Map,
    clouds,
    mosaic,
    noise_tile,
    pattern,
    window,
)
from vicl.figures.synthetic.scenes.scene import BACKGROUNDS, Background, Picture, Surface

_RAMP = Image.frombytes("L", (256, 1), bytes(range(256)))
"""All levels, dark to light."""


def levels(colour: Iterable[float]) -> tuple[int, int, int]:
    """A colour in [0, 1] as Pillow takes it, 0 to 255."""
    red, green, blue = colour
    return (
        min(255, max(0, round(255 * red))),
        min(255, max(0, round(255 * green))),
        min(255, max(0, round(255 * blue))),
    )


@lru_cache(maxsize=8)
def paint_background(background: Background, size: tuple[int, int]) -> Image.Image:
    """Draw a background.

    Args:
        background: Which.
        size: (height, width) in pixels.

    Returns:
        An image of mode RGB that others share: copy it before drawing on it.

    Raises:
        ValueError: If the kind is unknown, or a picture is missing.
    """
    surface = background.surface
    height, width = size
    if background.kind == "plain":
        return Image.new("RGB", (width, height), levels(surface.colour))
    if background.kind == "picture":
        if background.picture is None:
            raise ValueError("background: kind 'picture' needs a picture; got none")
        return cover(background.picture, size)
    if background.kind == "landscape":
        return _landscape(surface, size)
    if background.kind == "clouds":
        mix = clouds(size, surface.scale, surface.seed)
    elif background.kind == "mosaic":
        mix = mosaic(size, surface.scale, surface.seed)
    elif background.kind in ("noise", "paper"):
        mix = window(noise_tile(), size, surface.seed)
        if background.kind == "paper":
            mix = mix // 4
    elif background.kind in BACKGROUNDS:
        side = np.float32(min(size))
        x = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) / side)[None]
        y = ((np.arange(height, dtype=np.float32) + 0.5 - height / 2) / side)[:, None]
        mix = pattern(background.kind, surface, x, y, extent=0.6, side=min(size))
    else:
        raise ValueError(
            f"background: got kind {background.kind!r}, expected one of {', '.join(BACKGROUNDS)}"
        )
    return blend(surface, mix)


def blend(surface: Surface, mix: Map) -> Image.Image:
    """Mix a surface's two colours.

    Args:
        surface: Which colours.
        mix: 0 shows the main colour, 255 the second.

    Returns:
        An image of mode RGB, as Pillow mixes.
    """
    # One look-up of four bytes a pixel is quicker than mixing each of them.
    row = Image.new("RGB", _RAMP.size, levels(surface.colour))
    row.paste(levels(surface.second), None, _RAMP)
    pixels = np.frombuffer(row.tobytes("raw", "RGBX"), np.uint32).take(mix)
    return Image.frombytes("RGB", (mix.shape[1], mix.shape[0]), pixels, "raw", "RGBX")


def _landscape(surface: Surface, size: tuple[int, int]) -> Image.Image:
    """A sky that pales towards the horizon, perhaps a sun, and hills that darken to the front.

    The surface's main colour is the hills', the second the sky's; drawn at twice the size.
    """
    rng = np.random.default_rng(surface.seed)
    height, width = 2 * size[0], 2 * size[1]
    pale = tuple(0.35 * value + 0.65 for value in surface.second)
    ramp = np.linspace(0, 255, height).astype(np.uint8)
    column = Image.new("RGB", (1, height), levels(surface.second))
    column.paste(levels(pale), None, Image.fromarray(ramp[:, None]))
    sky = column.resize((width, height), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(sky)
    if rng.random() < 0.5:
        x, y, radius = rng.uniform(0.1, 0.9) * width, rng.uniform(0.05, 0.3) * height, 0.06 * height
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 246, 214))
    hills = int(rng.integers(2, 5))
    across = np.arange(0, width + 4, 4)
    for hill in range(hills):
        share = (hill + 1) / hills
        base = 0.35 + 0.4 * share + rng.uniform(-0.05, 0.05)
        waves = rng.uniform(0.5, 2.5, 2)[:, None] * across / width + rng.random((2, 1))
        swing = np.array([[0.07], [0.03]]) * np.sin(2 * np.pi * waves * np.array([[1], [2.3]]))
        ridge = (base + swing.sum(axis=0)) * height
        shade = 1 - 0.5 * share
        far = 0.6 * (1 - share)
        tone = levels(
            (far * p + (1 - far) * c) * (0.4 + shade)
            for p, c in zip(pale, surface.colour, strict=True)
        )
        outline = [*zip(across.tolist(), ridge.tolist(), strict=True)]
        draw.polygon([*outline, (width, height), (0, height)], fill=tone)
    return sky.reduce(2)


def cover(picture: Picture, size: tuple[int, int]) -> Image.Image:
    """Shrink a picture until it just covers an area, and take its middle.

    Args:
        picture: RGB, or one channel.
        size: (height, width) in pixels.

    Returns:
        An image of mode RGB or L.
    """
    pixels = picture.pixels
    whole = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    height, width = size
    scale = min(whole.width / width, whole.height / height)
    # Rounding must not lead a hair beyond the edge.
    left = max(0.0, (whole.width - width * scale) / 2)
    top = max(0.0, (whole.height - height * scale) / 2)
    box = (
        left,
        top,
        min(whole.width, left + width * scale),
        min(whole.height, top + height * scale),
    )
    return whole.resize((width, height), Image.Resampling.BICUBIC, box=box)
