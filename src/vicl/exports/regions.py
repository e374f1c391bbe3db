"""From a mask of classes to its objects: connected components, or one region a class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from vicl.exports.annotation import Annotation, ExportError, clipped_boxes
from vicl.exports.outlines import trace
from vicl.tasks.boxes import EIGHT_CONNECTED, Box

Instances: TypeAlias = Literal["components", "class"]
"""What counts as one object: each 8-connected component, or all pixels of a class together."""

EDGE_INSET = 0.05
"""Pixels by which outlines are pulled in for readers that cut coordinates to whole pixels and draw
the line too (LabelMe's and Ultralytics' do). Measured on random masks: such readers then get back
every pixel, and without it they add a row and a column. It outlasts rounding to 6 decimals of the
image's size up to 50,000 pixels, and cannot be seen."""


@dataclass(frozen=True, eq=False)
class Region:
    """One object of a mask.

    Attributes:
        label: Class, from 1.
        pixels: Its pixels: column-major indices ``x * h + y``, rising.
        box: (x0, y0, x1, y1), half-open.
        polygons: One for each component (see :mod:`vicl.exports.outlines`); empty unless traced.
        score: Mean confidence of its pixels, or None.
    """

    label: int
    pixels: Int[np.ndarray, " n"]
    box: tuple[float, float, float, float]
    polygons: tuple[Float[np.ndarray, "_ 2"], ...]
    score: float | None


def find_regions(
    annotation: Annotation,
    *,
    instances: Instances = "components",
    min_area: int = 1,
    polygons: bool = False,
    inset: float = 0.0,
    tolerance: float = 0.0,
) -> list[Region]:
    """List the objects of an annotation's mask, by class and then in reading order.

    Args:
        annotation: One without a mask has no objects.
        instances: What counts as one object.
        min_area: Components of fewer pixels are left out.
        polygons: Whether to trace outlines.
        inset: See :func:`vicl.exports.outlines.trace`.
        tolerance: The same.
    """
    if instances not in ("components", "class"):
        raise ExportError(f"instances: got {instances!r}, expected 'components' or 'class'")
    if annotation.mask is None:
        return []
    from scipy import ndimage

    found: list[Region] = []
    # Each class is looked at where it is, else many classes would cost the whole mask each.
    for label, place in enumerate(ndimage.find_objects(annotation.mask), start=1):
        if place is None:
            continue
        labels, count = _components(annotation.mask[place] == label, min_area)
        corner = (place[1].start, place[0].start)
        traced = trace(labels, inset=inset, tolerance=tolerance, corner=corner) if polygons else []
        if instances == "class" and count:
            labels, parts = np.minimum(labels, 1), [tuple(traced)]
        else:
            parts = [(path,) for path in traced]
        for index, (pixels, box) in enumerate(_split(labels, corner, annotation.size[0])):
            score = None
            if annotation.confidence is not None:
                x, y = np.divmod(pixels, annotation.size[0])
                score = float(annotation.confidence[y, x].mean(dtype=np.float64))
            found.append(Region(label, pixels, box, parts[index] if polygons else (), score))
    return found


def object_boxes(annotation: Annotation, *, min_area: int = 1) -> tuple[Box, ...]:
    """Give an annotation's boxes, cut to the image, or those around its mask's components.

    Args:
        annotation: One with neither boxes nor a mask has none.
        min_area: Components of fewer pixels are left out.
    """
    if annotation.boxes:
        return clipped_boxes(annotation)
    regions = find_regions(annotation, min_area=min_area)
    return tuple(Box(region.box, region.label) for region in regions)


def _components(mask: np.ndarray, min_area: int) -> tuple[Int[np.ndarray, "h w"], int]:
    """Number the components from 1 in reading order, leaving out small ones."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, structure=EIGHT_CONNECTED)
    if min_area > 1:
        kept = np.bincount(labels.ravel(), minlength=count + 1) >= min_area
        kept[0] = False
        labels = np.where(kept, np.cumsum(kept), 0)[labels]
        count = int(kept.sum())
    return labels, count


def _split(
    labels: Int[np.ndarray, "h w"], corner: tuple[int, int], height: int
) -> Iterator[tuple[Int[np.ndarray, " n"], tuple[float, float, float, float]]]:
    """Give the pixels and the box of region 1, 2, ... in one pass over the image.

    Args:
        labels: A part of the image.
        corner: Column and row of its first pixel.
        height: Of the whole image.
    """
    from scipy import ndimage

    pixels = np.flatnonzero(labels.T)
    if len(pixels) == 0:
        return
    numbers = labels.T.ravel()[pixels]
    columns, rows = np.divmod(pixels, len(labels))
    pixels = (columns + corner[0]) * height + rows + corner[1]
    order = np.argsort(numbers, kind="stable")  # stable keeps each region's pixels rising
    ends = np.cumsum(np.bincount(numbers)[1:])
    boxes = ndimage.find_objects(labels)
    left, top = map(float, corner)
    for group, (down, across) in zip(np.split(pixels[order], ends[:-1]), boxes, strict=True):
        box = (left + across.start, top + down.start, left + across.stop, top + down.stop)
        yield group, box
