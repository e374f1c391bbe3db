"""Marks: an index mask that strokes are drawn into, exactly and the same every time.

A pixel is in a shape where its centre is. Nothing is smoothed.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from vicl.exports import shapes as outline
from vicl.images import open_bytes
from vicl.server.schemas import Stroke
from vicl.tasks.boxes import mask_box

_MOST_WORK: Final = 1 << 29
"""Pixels that a brush may be compared with, over all its steps: a few seconds' work."""

UNKNOWN: Final = 255
"""Of a pixel of which nobody said what it is; 0 is the ground, other values are classes."""

Dirty: TypeAlias = tuple[int, int, int, int]
"""Box of the pixels that changed: xyxy, half-open."""

Marks: TypeAlias = UInt8[np.ndarray, "h w"]
_Slices: TypeAlias = tuple[slice, slice]


class StrokeError(ValueError):
    """A stroke that cannot be drawn; the message says why."""


def blank(size: tuple[int, int]) -> Marks:
    """Marks of an image (height, width) of which nothing is known."""
    return np.full(size, UNKNOWN, np.uint8)


def draw(marks: Marks, stroke: Stroke) -> Dirty:
    """Draw a stroke into marks; what belongs to a class that was locked stays.

    Raises:
        StrokeError: If it cannot be drawn.
    """
    if stroke.tool == "hint":
        if stroke.colour is None or not stroke.points:
            raise StrokeError("A hint needs a colour, and at least one of points.")
        return (0, 0, 0, 0)
    if stroke.tool == "answer" and stroke.boxes is not None:
        return (0, 0, 0, 0)
    if stroke.tool == "answer":
        return _take(marks, picture_of(stroke.png or "", (marks.shape[0], marks.shape[1])))
    place, inside = _shape(stroke, marks)
    part = marks[place]
    value = UNKNOWN if stroke.class_ is None else stroke.class_
    for locked in stroke.locked:
        inside &= part != locked
    inside &= part != value
    part[inside] = value
    return _around(inside, place[0].start, place[1].start)


def _take(marks: Marks, values: Marks) -> Dirty:
    """Give the pixels that are unknown the values of an answer."""
    inside = (marks == UNKNOWN) & (values != UNKNOWN)
    marks[inside] = values[inside]
    return _around(inside, 0, 0)


def _around(inside: Bool[np.ndarray, "_h _w"], top: int, left: int) -> Dirty:
    """The box of what changed in a part that begins at a corner."""
    if not inside.any():
        return (0, 0, 0, 0)
    x0, y0, x1, y1 = mask_box(inside)
    return left + x0, top + y0, left + x1, top + y1


def _shape(stroke: Stroke, marks: Marks) -> tuple[_Slices, Bool[np.ndarray, "_h _w"]]:
    """Where a stroke is, and which pixels of there are in it."""
    size = (marks.shape[0], marks.shape[1])
    if stroke.tool == "mask":
        return (slice(0, size[0]), slice(0, size[1])), mask_of(stroke.png or "", size)
    least = {"brush": 1, "box": 2, "polygon": 3, "lasso": 3, "fill": 1}[stroke.tool]
    if len(stroke.points) < least:
        raise StrokeError(
            f"points: got {len(stroke.points)}, expected at least {least} for a {stroke.tool}"
        )
    if stroke.tool == "brush":
        return brushed(stroke.points, stroke.size / 2, size)
    if stroke.tool == "box":
        return _box(stroke.points, size)
    if stroke.tool == "fill":
        return _fill(stroke.points[0], marks)
    return _polygon(stroke.points, size)


def _clip(points: Sequence[tuple[float, float]], margin: float, size: tuple[int, int]) -> _Slices:
    """The pixels around points, on the image; perhaps none."""
    height, width = size
    xs, ys = [p[0] for p in points], [p[1] for p in points]

    def span(values: Sequence[float], most: int) -> slice:
        first = min(max(math.floor(min(values) - margin), 0), most)
        return slice(first, max(first, min(math.ceil(max(values) + margin) + 1, most)))

    return span(ys, height), span(xs, width)


def brushed(
    points: Sequence[tuple[float, float]], radius: float, size: tuple[int, int]
) -> tuple[_Slices, Bool[np.ndarray, "_h _w"]]:
    """Pixels within a radius of a line; a point marks at least the pixel that it is in.

    Returns:
        A part of an image of a size (height, width), and which pixels of it these are.
    """
    place = _clip(points, radius, size)
    top, left = place[0].start, place[1].start
    inside = np.zeros((place[0].stop - top, place[1].stop - left), bool)
    ends = list(zip(points, points[1:] or points, strict=False))
    work = 0
    for (x0, y0), (x1, y1) in ends:
        near = _clip([(x0, y0), (x1, y1)], radius, size)
        if near[0].start == near[0].stop or near[1].start == near[1].stop:
            continue
        work += (near[0].stop - near[0].start) * (near[1].stop - near[1].start)
        if work > _MOST_WORK:
            raise StrokeError("The stroke is too long for a brush of this size; make it in parts.")
        y = np.arange(near[0].start, near[0].stop)[:, None] + 0.5 - y0
        x = np.arange(near[1].start, near[1].stop)[None] + 0.5 - x0
        dx, dy = x1 - x0, y1 - y0
        length = dx * dx + dy * dy
        along = np.clip((x * dx + y * dy) / length, 0, 1) if length else np.zeros((1, 1))
        apart = (x - along * dx) ** 2 + (y - along * dy) ** 2
        rows = slice(near[0].start - top, near[0].stop - top)
        columns = slice(near[1].start - left, near[1].stop - left)
        inside[rows, columns] |= apart <= radius * radius
    for px, py in points if radius < 1 else ():
        row, column = math.floor(py) - top, math.floor(px) - left
        if 0 <= row < inside.shape[0] and 0 <= column < inside.shape[1]:
            inside[row, column] = True
    return place, inside


def _box(
    points: Sequence[tuple[float, float]], size: tuple[int, int]
) -> tuple[_Slices, Bool[np.ndarray, "_h _w"]]:
    """Pixels whose centres are between two corners."""
    (x0, y0), (x1, y1) = points[0], points[1]

    def span(one: float, other: float, most: int) -> slice:
        low, high = sorted((one, other))
        first = min(max(math.ceil(low - 0.5), 0), most)
        return slice(first, min(max(math.ceil(high - 0.5), first), most))

    place = span(y0, y1, size[0]), span(x0, x1, size[1])
    return place, np.ones((place[0].stop - place[0].start, place[1].stop - place[1].start), bool)


def _polygon(
    points: Sequence[tuple[float, float]], size: tuple[int, int]
) -> tuple[_Slices, Bool[np.ndarray, "_h _w"]]:
    """Pixels whose centres are inside an outline, by the even-odd rule."""
    place = _clip(points, 0.0, size)
    top, left = place[0].start, place[1].start
    inside = np.zeros((place[0].stop - top, place[1].stop - left), np.uint8)
    if inside.size:
        outline.fill(inside, np.array(points, np.float64) - (left, top), 1)
    return place, inside.view(bool)


def _fill(point: tuple[float, float], marks: Marks) -> tuple[_Slices, Bool[np.ndarray, "_h _w"]]:
    """The 4-connected pixels of one mark around a point."""
    from scipy import ndimage

    x, y = math.floor(point[0]), math.floor(point[1])
    height, width = marks.shape
    if not (0 <= x < width and 0 <= y < height):
        raise StrokeError(f"points: ({point[0]:g}, {point[1]:g}) is not on the image")
    labels, _ = ndimage.label(marks == marks[y, x])
    place: _Slices = ndimage.find_objects((labels == labels[y, x]).view(np.int8))[0]
    return place, labels[place] == labels[y, x]


def mask_of(data: str, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """A mask that is sent as the base64 of a PNG: what is not black is in it.

    Raises:
        StrokeError: As :func:`picture_of`.
    """
    return picture_of(data, size) > 0


def picture_of(given: str, size: tuple[int, int]) -> Marks:
    """Gray levels that are sent as the base64 of a PNG.

    Raises:
        StrokeError: If it is none, or of another size than (height, width).
    """
    try:
        data = base64.b64decode(given, validate=True)
        picture = open_bytes(data, "png", limit_pixels=max(1, size[0] * size[1]))
    except (binascii.Error, ValueError) as error:
        raise StrokeError(f"png: is no picture of a mask in base64 ({error})") from error
    if (picture.height, picture.width) != size:
        raise StrokeError(
            f"png: got {picture.width}x{picture.height}, expected the image's {size[1]}x{size[0]}"
        )
    return np.array(picture.convert("L"))


def png(image: Image.Image) -> bytes:
    """A picture as PNG, quickly rather than small."""
    data = io.BytesIO()
    image.save(data, "PNG", compress_level=1)
    return data.getvalue()
