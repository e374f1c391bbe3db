"""One thing as pixels: where it covers the cell, and what it shows there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from vicl.canvas.rects import Rect
from vicl.figures.synthetic.scenes.backgrounds import blend, cover, levels
from vicl.figures.synthetic.scenes.lettering import stencil
from vicl.figures.synthetic.scenes.outlines import Points, hole, outline
from vicl.figures.synthetic.scenes.patterns import noise_tile, pattern, window
from vicl.figures.synthetic.scenes.relief import frame, shaded
from vicl.figures.synthetic.scenes.scene import Light, Thing

_FINER = 3
"""Outlines are filled on a grid this much finer, so that edges are soft."""


Paint = Image.Image | tuple[int, int, int]
"""Mode RGB, or one colour, 0 to 255."""


@dataclass(frozen=True, eq=False)
class Stamp:
    """A thing in its box.

    Attributes:
        box: In pixels of the cell; it may lie outside of it.
        cover: Mode L: how much of each pixel the thing covers.
        paint: What it shows; None for a region of a photograph, which the background shows.
    """

    box: Rect
    cover: Image.Image
    paint: Paint | None


def stamp(thing: Thing, light: Light, size: tuple[int, int]) -> Stamp:
    """Draw a thing.

    Args:
        thing: Which.
        light: Shades its relief.
        size: (height, width) of the cell in pixels.

    Raises:
        ValueError: If the shape is unknown, or its text or picture is missing.
        FileError: If a font cannot be opened.
    """
    # Of the light only what this thing shows counts, so that more stamps are found again.
    shading = 0.0 if thing.relief == "flat" else light.shading
    return _stamp(thing, light.angle if shading else 0.0, shading, size)


@lru_cache(maxsize=64)
def _stamp(thing: Thing, light_angle: float, shading: float, size: tuple[int, int]) -> Stamp:
    if thing.shape == "region":
        if thing.picture is None:
            raise ValueError("thing: the shape 'region' needs a picture; got none")
        return Stamp(Rect(0, 0, *size), cover(thing.picture, size), None)
    boxed = thing.shape in ("text", "picture")
    corners = _turned(outline("square" if boxed else thing.shape, thing.seed), thing, size)
    box = _box(corners)
    paint: Paint
    if thing.shape == "picture":
        if thing.picture is None or thing.picture.pixels.shape[2] != 4:
            raise ValueError("thing: the shape 'picture' needs a picture of RGB and alpha")
        shown = _placed(Image.fromarray(thing.picture.pixels), thing, size, box)
        covered = shown.getchannel("A")
        paint = _tinted(shown, thing) if thing.tint else shown.convert("RGB")
    else:
        covered = _written(thing, size, box) if boxed else _filled(corners, thing, size, box)
        paint = _paint(thing, size, box)
    if thing.outline:
        paint = _outlined(paint, covered, thing, size)
    if shading:
        paint = shaded(paint, covered, thing, size, box, light_angle, shading)
    if thing.opacity < 1:
        covered = covered.point([round(thing.opacity * value) for value in range(256)])
    return Stamp(box, covered, paint)


def _half(thing: Thing, size: tuple[int, int]) -> tuple[float, float]:
    """Half the width and half the height of the box before it is turned, in pixels."""
    half = thing.size * min(size)
    return half * thing.aspect, half


def _box(corners: Points) -> Rect:
    """The smallest box of whole pixels round a thing."""
    across, down = corners.T.tolist()
    x, y = math.floor(min(across) - 0.5), math.floor(min(down) - 0.5)
    return Rect(y, x, math.ceil(max(down) + 0.5) - y, math.ceil(max(across) + 0.5) - x)


def _turned(points: Points, thing: Thing, size: tuple[int, int]) -> Points:
    """From the box of an outline to pixels of the cell."""
    half_width, half_height = _half(thing, size)
    cos, sin = math.cos(thing.angle), math.sin(thing.angle)
    wide = -half_width if thing.mirrored else half_width
    matrix = np.array([[cos * wide, sin * wide], [-sin * half_height, cos * half_height]])
    middle = np.array([thing.centre[1] * size[1], thing.centre[0] * size[0]])
    turned: Points = (points @ matrix + middle).astype(np.float32)
    return turned


def _filled(corners: Points, thing: Thing, size: tuple[int, int], box: Rect) -> Image.Image:
    """Fill an outline."""
    corner = np.array([box.left, box.top], np.float32)
    image = Image.new("L", (box.width * _FINER, box.height * _FINER))
    draw = ImageDraw.Draw(image)
    cut = hole(thing.shape)
    for points, value in ((corners, 255), (None if cut is None else _turned(cut, thing, size), 0)):
        if points is not None:
            # Pillow's coordinates are those of the centres of pixels.
            fine = (points - corner) * _FINER - np.float32(0.5)
            draw.polygon(fine.ravel().tolist(), fill=value)
    return image.reduce(_FINER)


def _written(thing: Thing, size: tuple[int, int], box: Rect) -> Image.Image:
    if thing.lettering is None:
        raise ValueError("thing: the shape 'text' needs lettering; got none")
    return _placed(stencil(thing.lettering), thing, size, box)


def _placed(source: Image.Image, thing: Thing, size: tuple[int, int], box: Rect) -> Image.Image:
    """Turn and scale a picture into a box of the cell."""
    half_width, half_height = (max(value, 0.5) for value in _half(thing, size))
    # Bilinear interpolation looks at four pixels only: larger pictures are shrunk before.
    shrink = int(min(source.width / (2 * half_width), source.height / (2 * half_height)))
    small = source.reduce(shrink) if shrink > 1 else source
    cos, sin = math.cos(thing.angle), math.sin(thing.angle)
    across = small.width / (2 * half_width) * (-1 if thing.mirrored else 1)
    down = small.height / (2 * half_height)
    x, y = thing.centre[1] * size[1] - box.left, thing.centre[0] * size[0] - box.top
    matrix = (
        across * cos,
        across * sin,
        small.width / 2 - across * (cos * x + sin * y),
        -down * sin,
        down * cos,
        small.height / 2 - down * (cos * y - sin * x),
    )
    area = (box.width, box.height)
    return small.transform(area, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _paint(thing: Thing, size: tuple[int, int], box: Rect) -> Paint:
    """Cover a box with the thing's surface."""
    surface = thing.surface
    if surface.texture == "plain":
        return levels(surface.colour)
    if surface.texture == "noise":
        mix = window(noise_tile(), box.size, surface.seed)
    else:
        x, y = frame(thing, size, box)
        extent = thing.size * max(1.0, thing.aspect)
        mix = pattern(surface.texture, surface, x, y, extent=extent, side=min(size))
    return blend(surface, mix)


def _tinted(shown: Image.Image, thing: Thing) -> Image.Image:
    """Shades of the surface's colour, as light and dark as the picture's own colours."""
    grey = shown.convert("RGB").convert("L")
    lift = [
        [min(255.0, 255 * value * (0.35 + level / 255)) for level in range(256)]
        for value in thing.surface.colour
    ]
    return Image.merge("RGB", [grey.point([round(v) for v in table]) for table in lift])


def _outlined(
    paint: Paint, covered: Image.Image, thing: Thing, size: tuple[int, int]
) -> Image.Image:
    """Draw a line in the second colour along the edge, inside."""
    pixels = max(1, round(thing.outline * min(size)))
    # A border of nothing, for an edge of the box is an edge of the thing.
    wider = covered.crop((-pixels, -pixels, covered.width + pixels, covered.height + pixels))
    inner = wider.filter(ImageFilter.MinFilter(2 * pixels + 1))
    inner = inner.crop((pixels, pixels, pixels + covered.width, pixels + covered.height))
    lined = Image.new("RGB", covered.size, levels(thing.surface.second))
    shown = paint if isinstance(paint, Image.Image) else Image.new("RGB", covered.size, paint)
    lined.paste(shown, None, inner)
    return lined
