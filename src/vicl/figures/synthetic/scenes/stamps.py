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
from vicl.figures.synthetic.scenes.patterns import pattern
from vicl.figures.synthetic.scenes.relief import frame, shaded
from vicl.figures.synthetic.scenes.scene import Light, Thing

_FINER = 3
"""Outlines are filled on a grid this much finer, so that edges are soft."""


@dataclass(frozen=True, eq=False)
class Stamp:
    """A thing in its box.

    Attributes:
        left: First column of the box; it may lie outside of the cell.
        top: First row of the box.
        cover: Mode L: how much of each pixel the thing covers.
        paint: Mode RGB: what it shows; or one colour, 0 to 255; None for a region of a
            photograph, which the background shows.
    """

    left: int
    top: int
    cover: Image.Image
    paint: Image.Image | tuple[int, int, int] | None


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
        return Stamp(0, 0, cover(thing.picture, size), None)
    corners = _corners(thing, size)
    box = _box(corners)
    left, top = box.left, box.top
    paint: Image.Image | tuple[int, int, int]
    if thing.shape in ("text", "picture"):
        source = _source(thing)
        shown = _placed(source, thing, size, box)
        covered = shown.getchannel("A") if shown.mode == "RGBA" else shown
    else:
        shown = None
        covered = _filled(corners, thing, size, box)
    if shown is not None and shown.mode == "RGBA":
        paint = _tinted(shown, thing) if thing.tint else shown.convert("RGB")
    else:
        paint = _paint(thing, size, box)
    if thing.outline:
        paint = _outlined(paint, covered, thing, size)
    if shading:
        paint = shaded(
            as_image(paint, covered.size), covered, thing, size, (left, top), light_angle, shading
        )
    if thing.opacity < 1:
        covered = covered.point([round(thing.opacity * value) for value in range(256)])
    return Stamp(left, top, covered, paint)


def _half(thing: Thing, size: tuple[int, int]) -> tuple[float, float]:
    """Half the width and half the height of the box before it is turned, in pixels."""
    half = thing.size * min(size)
    return half * thing.aspect, half


def _corners(thing: Thing, size: tuple[int, int]) -> Points:
    """The outline in pixels of the cell; of text and pictures, their box."""
    square = thing.shape in ("text", "picture")
    points = outline("square") if square else outline(thing.shape, thing.seed)
    return _turned(points, thing, size)


def _box(corners: Points) -> Rect:
    """The smallest box of whole pixels round a thing."""
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    x, y = math.floor(left - 0.5), math.floor(top - 0.5)
    return Rect(y, x, math.ceil(bottom + 0.5) - y, math.ceil(right + 0.5) - x)


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
    (left, top), (height, width) = (box.left, box.top), box.size
    image = Image.new("L", (width * _FINER, height * _FINER))
    draw = ImageDraw.Draw(image)
    cut = hole(thing.shape)
    for points, value in ((corners, 255), (None if cut is None else _turned(cut, thing, size), 0)):
        if points is not None:
            # Pillow's coordinates are those of the centres of pixels.
            fine = (points - np.array([left, top], np.float32)) * _FINER - np.float32(0.5)
            draw.polygon(fine.ravel().tolist(), fill=value)
    return image.reduce(_FINER)


def _source(thing: Thing) -> Image.Image:
    """The picture of a thing that has one, or its text as a stencil."""
    if thing.shape == "text":
        if thing.lettering is None:
            raise ValueError("thing: the shape 'text' needs lettering; got none")
        return stencil(thing.lettering)
    if thing.picture is None or thing.picture.pixels.shape[2] != 4:
        raise ValueError("thing: the shape 'picture' needs a picture of RGB and alpha")
    return Image.fromarray(thing.picture.pixels)


def _placed(source: Image.Image, thing: Thing, size: tuple[int, int], box: Rect) -> Image.Image:
    """Turn and scale a picture into a box of the cell."""
    (left, top), (height, width) = (box.left, box.top), box.size
    half_width, half_height = (max(value, 0.5) for value in _half(thing, size))
    # Bilinear interpolation looks at four pixels only: larger pictures are shrunk before.
    shrink = int(min(source.width / (2 * half_width), source.height / (2 * half_height)))
    small = source.reduce(shrink) if shrink > 1 else source
    cos, sin = math.cos(thing.angle), math.sin(thing.angle)
    across = small.width / (2 * half_width) * (-1 if thing.mirrored else 1)
    down = small.height / (2 * half_height)
    x, y = thing.centre[1] * size[1] - left, thing.centre[0] * size[0] - top
    matrix = (
        across * cos,
        across * sin,
        small.width / 2 - across * (cos * x + sin * y),
        -down * sin,
        down * cos,
        small.height / 2 - down * (cos * y - sin * x),
    )
    return small.transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )


def _paint(thing: Thing, size: tuple[int, int], box: Rect) -> Image.Image | tuple[int, int, int]:
    """Cover a box with the thing's surface."""
    surface = thing.surface
    if surface.texture == "plain":
        return levels(surface.colour)
    (left, top), (height, width) = (box.left, box.top), box.size
    x, y = frame(thing, size, (left, top), (height, width))
    cos, sin = np.float32(math.cos(surface.angle)), np.float32(math.sin(surface.angle))
    mix = pattern(
        surface.texture,
        x * cos + y * sin,
        y * cos - x * sin,
        scale=surface.scale,
        extent=thing.size * max(1.0, thing.aspect),
        pixel=1 / min(size),
        seed=surface.seed,
    )
    return blend(surface, Image.fromarray(mix))


def _tinted(shown: Image.Image, thing: Thing) -> Image.Image:
    """Shades of the surface's colour, as light and dark as the picture's own colours."""
    grey = shown.convert("RGB").convert("L")
    lift = [
        [min(255.0, 255 * value * (0.35 + level / 255)) for level in range(256)]
        for value in thing.surface.colour
    ]
    return Image.merge("RGB", [grey.point([round(v) for v in table]) for table in lift])


def _outlined(
    paint: Image.Image | tuple[int, int, int],
    covered: Image.Image,
    thing: Thing,
    size: tuple[int, int],
) -> Image.Image:
    """Draw a line in the second colour along the edge, inside."""
    pixels = max(1, round(thing.outline * min(size)))
    # A border of nothing, for an edge of the box is an edge of the thing.
    wider = Image.new("L", (covered.width + 2 * pixels, covered.height + 2 * pixels))
    wider.paste(covered, (pixels, pixels))
    inner = wider.filter(ImageFilter.MinFilter(2 * pixels + 1))
    inner = inner.crop((pixels, pixels, pixels + covered.width, pixels + covered.height))
    line = Image.new("RGB", covered.size, levels(thing.surface.second))
    return Image.composite(as_image(paint, covered.size), line, inner)


def as_image(paint: Image.Image | tuple[int, int, int], size: tuple[int, int]) -> Image.Image:
    """A paint as an image of (width, height)."""
    return paint if isinstance(paint, Image.Image) else Image.new("RGB", size, paint)
