"""Annotations as people's tools draw them: shapes with names, painted as a mask or given as boxes.

A pixel belongs to an outline if its centre lies inside, by the even-odd rule.  So the outlines that
vicl writes (:mod:`vicl.exports.outlines`) give back every pixel, holes too, and those drawn by hand
are off by half a pixel at most.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from vicl.exports.annotation import ExportError
from vicl.exports.rle import Rle, rle_to_pixels
from vicl.tasks.boxes import Box, whole_pixels
from vicl.tasks.pairs import same_frame

log = logging.getLogger(__name__)

Outline: TypeAlias = Float64[np.ndarray, "_ 2"]
Corners: TypeAlias = tuple[float, float, float, float]

MOST_SHAPES: Final = 100_000
"""Of one image, and outlines of them."""
_MOST_WORK: Final = 1 << 31
"""Pixels and crossings that all shapes of an image may take to paint: seconds, not hours."""
_BAND: Final = 1 << 22
"""Pixels, or crossings of an outline with the rows, that are worked on at a time."""


@dataclass(frozen=True, eq=False)
class Patch:
    """A piece of mask.

    Attributes:
        mask: True is the object.
        left: Column of its first pixel.
        top: Row of its first pixel.
    """

    mask: Bool[np.ndarray, "h w"]
    left: int
    top: int


@dataclass(frozen=True, eq=False)
class Shape:
    """One object, in pixels of the image that it was drawn on.

    Attributes:
        where: What messages call it: "shape 3".
        name: Its class; None takes its pixels away from all classes.
        region: Its outlines, which together are the object, or its pixels; () where only its box
            is known.
        box: As the file gives it; None where that is to be found from the region.
        crowd: Many objects in one: pixels of the class, but not a box.
    """

    where: str
    name: str | None
    region: tuple[Outline, ...] | Rle | Patch = ()
    box: Corners | None = None
    crowd: bool = False


@dataclass(frozen=True, eq=False)
class Shapes:
    """What a file says of one image.

    Attributes:
        source: What messages call the file.
        shapes: In the order of the file; a later one lies on top.
        names: The classes that the file knows, in its order.
        ordered: Whether that order is the file's own, not one of the alphabet.
        size: (height, width) of the image that it was drawn on; None where the file does not say.
        relative: Whether coordinates are shares of the image's sides (YOLO).
        numbered: Whether names are numbers from "0" that stand for classes named elsewhere: of
            YOLO without a list of names, of boxes without a name.

    Raises:
        ExportError: If a name is empty or cannot be printed.
    """

    source: str
    shapes: tuple[Shape, ...]
    names: tuple[str, ...]
    ordered: bool = False
    size: tuple[int, int] | None = None
    relative: bool = False
    numbered: bool = False

    def __post_init__(self) -> None:
        for name in self.names:
            if not name.strip() or not name.isprintable():
                raise ExportError(
                    f"{self.source}: a class is called {name[:40]!r}, expected printable text on "
                    "one line"
                )


def outline(values: Any, where: str) -> Outline:
    """Check the points of a polygon.

    Args:
        values: Pairs x, y, or x and y in turn.
        where: What messages call it.

    Raises:
        ExportError: If these are not three or more pairs of finite numbers.
    """
    points = numbers(values, where)
    flat = points.ravel()
    if (points.ndim == 2 and points.shape[1] != 2) or points.ndim > 2 or len(flat) % 2:
        raise ExportError(f"{where}: got points of shape {points.shape}, expected pairs x, y")
    if len(flat) < 6:
        raise ExportError(f"{where}: got {len(flat) // 2} points, expected three or more")
    return flat.reshape(-1, 2)


def numbers(values: Any, where: str) -> Float64[np.ndarray, ...]:
    """Check a list of finite numbers, nested or not.

    Raises:
        ExportError: If they are something else.
    """
    try:
        found = np.array(values)
        if found.dtype.kind not in "iuf":
            raise TypeError("no numbers")
        found = found.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ExportError(f"{where}: got {str(values)[:60]!r}, expected numbers") from error
    if not np.isfinite(found).all():
        raise ExportError(f"{where}: got NaN or infinity, expected finite numbers")
    return found


def corners(x0: float, y0: float, x1: float, y1: float, where: str) -> Corners:
    """Check a box.

    Raises:
        ExportError: If its numbers are not finite, or it has no area.
    """
    box = (float(x0), float(y0), float(x1), float(y1))
    if not all(map(math.isfinite, box)):
        raise ExportError(f"{where}: got NaN or infinity, expected finite numbers")
    if not (box[0] < box[2] and box[1] < box[3]):
        raise ExportError(
            f"{where}: the box {box} has no area, expected x0 < x1 and y0 < y1; leave it out"
        )
    return box


def parse_boxes(texts: Sequence[str], source: str) -> Shapes:
    """Take boxes as they are written on the command line.

    Args:
        texts: "x0,y0,x1,y1" in pixels, or "name=x0,y0,x1,y1".
        source: What messages call them.

    Raises:
        ExportError: If one is no box.
    """
    shapes = []
    for text in texts:
        name, _, written = text.rpartition("=")
        try:
            x0, y0, x1, y1 = (float(value) for value in written.split(","))
        except ValueError as error:
            raise ExportError(
                f"{source}: got {text!r}, expected x0,y0,x1,y1 in pixels, or name=x0,y0,x1,y1"
            ) from error
        label = name.strip().strip('"') or "0"
        shapes.append(Shape(source, label, box=corners(x0, y0, x1, y1, f"{source} {text}")))
    names = {str(shape.name) for shape in shapes}
    if "0" in names and len(names) > 1:
        raise ExportError(f"{source}: got boxes with a name and without, expected one or the other")
    return Shapes(source, tuple(shapes), tuple(sorted(names)), numbered=names == {"0"})


@dataclass(frozen=True, eq=False)
class Painted:
    """What shapes mark in an image.

    Attributes:
        labels: Class numbers, 0 = background, at the size that the shapes were drawn on.
        boxes: One an object, in pixels of the image itself.
        left_out: Names of classes that were not asked for.
    """

    labels: UInt8[np.ndarray, "h w"]
    boxes: tuple[Box, ...]
    left_out: tuple[str, ...]


def paint(
    shapes: Shapes, size: tuple[int, int], classes: Sequence[str], *, limit_pixels: int
) -> Painted:
    """Draw shapes as a mask, and give their boxes.

    Args:
        shapes: What a file says.
        size: (height, width) of the image that it is used for.
        classes: Names of class 1 and up.
        limit_pixels: Largest size that shapes may have been drawn on.

    Raises:
        ExportError: If they were drawn on an image of another shape, lie outside it, or are too
            many to be painted.
    """
    own = _own_size(shapes, size, limit_pixels)
    names = {name: number for number, name in enumerate(classes, start=1)}
    labels = np.zeros(own, np.uint8)
    boxes: list[Box] = []
    left_out: dict[str, None] = {}
    outlines = sum(len(s.region) for s in shapes.shapes if isinstance(s.region, tuple))
    if outlines > MOST_SHAPES:
        raise ExportError(
            f"{shapes.source}: has {outlines} outlines, expected up to {MOST_SHAPES}; give a mask "
            "(PNG) instead"
        )
    work = 0
    for shape in shapes.shapes:
        if shape.name is not None and shape.name not in names:
            left_out[shape.name] = None
            continue
        number = 0 if shape.name is None else names[shape.name]
        work += _paint(labels, _scaled(shape, own) if shapes.relative else shape, number, boxes)
        if work > _MOST_WORK:
            raise ExportError(
                f"{shapes.source}: its {len(shapes.shapes)} shapes overlap too much, or have too "
                "many points, to be painted; give a mask (PNG) instead"
            )
    across, down = size[1] / own[1], size[0] / own[0]
    moved = (
        Box((b.box[0] * across, b.box[1] * down, b.box[2] * across, b.box[3] * down), b.label)
        for b in boxes
    )
    return Painted(labels, tuple(moved), tuple(left_out))


def _own_size(shapes: Shapes, size: tuple[int, int], limit_pixels: int) -> tuple[int, int]:
    own = shapes.size or size
    if own == size:
        return own
    sizes = (
        f"{shapes.source}: was drawn on an image of {own[1]}x{own[0]} pixels (width x height), but "
        f"this one has {size[1]}x{size[0]}"
    )
    if own == size[::-1] and abs(own[0] - own[1]) > 1:
        raise ExportError(
            f"{sizes}: the sides are swapped, so it was probably drawn on the picture as it is "
            "stored, before its EXIF orientation; save the picture upright and annotate that"
        )
    if min(own) < 1 or not same_frame(size, own):
        raise ExportError(f"{sizes}: they do not show the same frame; annotate this image")
    if own[0] * own[1] > limit_pixels:
        raise ExportError(
            f"{sizes}: it is over the limit of {limit_pixels} pixels (limit_pixels=, "
            "--limit-pixels)"
        )
    log.warning("%s; its shapes are scaled", sizes)
    return own


def _scaled(shape: Shape, size: tuple[int, int]) -> Shape:
    """Shares of the sides as pixels."""
    h, w = size
    box = shape.box
    if box is not None:
        box = (box[0] * w, box[1] * h, box[2] * w, box[3] * h)
    assert isinstance(shape.region, tuple)
    region = tuple(path * (w, h) for path in shape.region)
    return Shape(shape.where, shape.name, region, box, shape.crowd)


def _paint(labels: UInt8[np.ndarray, "h w"], shape: Shape, number: int, boxes: list[Box]) -> int:
    """Paint one shape and note its box; gives how much work it was, in pixels."""
    h, w = labels.shape
    found: Corners | None
    if shape.box is not None:
        _check_inside(shape.box, (h, w), shape.where)
    if isinstance(shape.region, tuple) and shape.region:
        found, work = _paint_outlines(labels, shape.region, number, shape.where)
    elif isinstance(shape.region, tuple):
        found, work = _paint_box(labels, shape.box, number)
    elif isinstance(shape.region, Patch):
        found, work = _paint_patch(labels, shape.region, number, shape.where)
    else:
        found, work = _paint_rle(labels, shape.region, number, shape.where)
    box = shape.box or found
    if box is not None and number and not shape.crowd and box[0] < box[2] and box[1] < box[3]:
        cut = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(w)), min(box[3], float(h)))
        boxes.append(Box(cut, number))
    return work


def _check_inside(box: Corners, size: tuple[int, int], where: str) -> None:
    """What reaches out of the image is cut off; what lies outside, or far out, is a mistake."""
    h, w = size
    far = max(h, w)
    shown = tuple(float(f"{value:.6g}") for value in box)
    if min(box) < -far or max(box) > 2 * far:
        raise ExportError(f"{where}: reaches far out of the image of {w}x{h} pixels: {shown}")
    if not (box[0] < w and box[1] < h and box[2] > 0 and box[3] > 0):
        raise ExportError(f"{where}: lies outside the image of {w}x{h} pixels: {shown}")


def _paint_outlines(
    labels: UInt8[np.ndarray, "h w"], paths: tuple[Outline, ...], number: int, where: str
) -> tuple[Corners, int]:
    h, w = labels.shape
    x0, y0 = np.min([path.min(axis=0) for path in paths], axis=0)
    x1, y1 = np.max([path.max(axis=0) for path in paths], axis=0)
    around = (float(x0), float(y0), float(x1), float(y1))
    _check_inside(around, (h, w), where)
    work = sum(_cost(path, (h, w)) for path in paths)
    if work <= _MOST_WORK:  # else it is refused
        for path in paths:
            fill(labels, path, number)
    return around, work


def _paint_box(
    labels: UInt8[np.ndarray, "h w"], box: Corners | None, number: int
) -> tuple[Corners | None, int]:
    if box is None:
        return None, 1
    h, w = labels.shape
    left, top, right, bottom = (int(value) for value in whole_pixels(box, (h, w)))
    labels[top:bottom, left:right] = number
    return box, (bottom - top) * (right - left)


def _paint_rle(
    labels: UInt8[np.ndarray, "h w"], rle: Rle, number: int, where: str
) -> tuple[Corners | None, int]:
    h, w = labels.shape
    try:
        pixels = rle_to_pixels(rle, limit_pixels=h * w)
    except (ValueError, TypeError, OverflowError) as error:
        raise ExportError(f"{where}: segmentation: {error}") from error
    if not len(pixels):
        return None, 1
    x, y = np.divmod(pixels, h)
    labels[y, x] = number
    box = (float(x[0]), float(y.min()), float(x[-1] + 1), float(y.max() + 1))
    return box, len(pixels)


def _paint_patch(
    labels: UInt8[np.ndarray, "h w"], patch: Patch, number: int, where: str
) -> tuple[Corners | None, int]:
    h, w = labels.shape
    rows, columns = patch.mask.shape
    if patch.left < 0 or patch.top < 0 or patch.left + columns > w or patch.top + rows > h:
        raise ExportError(
            f"{where}: its mask of {columns}x{rows} pixels at ({patch.left}, {patch.top}) "
            f"reaches out of the image of {w}x{h}"
        )
    labels[patch.top : patch.top + rows, patch.left : patch.left + columns][patch.mask] = number
    y, x = np.flatnonzero(patch.mask.any(axis=1)), np.flatnonzero(patch.mask.any(axis=0))
    if not len(y):
        return None, rows * columns
    edges = (patch.left + x[0], patch.top + y[0], patch.left + x[-1] + 1, patch.top + y[-1] + 1)
    x0, y0, x1, y1 = map(float, edges)
    return (x0, y0, x1, y1), rows * columns


def _cost(path: Outline, size: tuple[int, int]) -> int:
    """Pixels of the box around an outline, and how often it crosses a row."""
    h, w = size
    (x0, y0), (x1, y1) = path.min(axis=0), path.max(axis=0)
    area = max(0.0, min(x1, w) - max(x0, 0)) * max(0.0, min(y1, h) - max(y0, 0))
    first, last = _rows(path, h)
    crossings = int((last - first).sum())
    return int(area) + 16 * crossings


def _rows(path: Outline, height: int) -> tuple[np.ndarray, np.ndarray]:
    """For each edge, which rows' centres it crosses: from `first` to before `last`."""
    y, after = path[:, 1], np.roll(path[:, 1], -1)
    first = np.ceil(np.clip(np.minimum(y, after) - 0.5, 0, height)).astype(np.int64)
    last = np.ceil(np.clip(np.maximum(y, after) - 0.5, 0, height)).astype(np.int64)
    return first, last


def fill(labels: UInt8[np.ndarray, "h w"], path: Outline, number: int) -> None:
    """Set the pixels whose centres lie inside an outline, by the even-odd rule.

    Args:
        labels: Is changed.
        path: Points (x, y) in pixels; what lies outside the image is cut off.
        number: What to set.
    """
    h, w = labels.shape
    first, last = _rows(path, h)
    edges = np.flatnonzero(last > first)
    if not len(edges):
        return
    after = np.roll(path, -1, axis=0)
    left = int(np.clip(np.floor(path[:, 0].min()), 0, w))
    right = int(np.clip(np.ceil(path[:, 0].max()), 0, w))
    top, bottom = int(first[edges].min()), int(last[edges].max())
    width = right - left + 1
    crossings = int((last - first).sum())
    step = max(1, min(_BAND // width, _BAND * (bottom - top) // crossings))
    for start in range(top, bottom, step):
        stop = min(start + step, bottom)
        low, high = np.maximum(first[edges], start), np.minimum(last[edges], stop)
        inside = high > low
        edge, low, count = edges[inside], low[inside], (high - low)[inside]
        row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        row += np.repeat(low, count)
        begin, end = np.repeat(path[edge], count, axis=0), np.repeat(after[edge], count, axis=0)
        share = (row + 0.5 - begin[:, 1]) / (end[:, 1] - begin[:, 1])
        x = begin[:, 0] + share * (end[:, 0] - begin[:, 0])
        column = np.ceil(np.clip(x - 0.5, left, right)).astype(np.int64) - left
        turns = np.zeros((stop - start) * width, np.uint8)
        np.add.at(turns, (row - start) * width + column, 1)  # wraps at 256, which is even
        odd = np.bitwise_xor.accumulate((turns & 1).reshape(-1, width), axis=1).astype(bool)
        labels[start:stop, left:right][odd[:, :-1]] = number
