"""Boxes: one located object, and how a box is read from a mask.

A box is (x0, y0, x1, y1), half-open, in pixels of the image: ``x1 - x0`` is its width, and the
box of a whole image of height h and width w is (0, 0, w, h).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, SupportsFloat, SupportsInt

import numpy as np
from jaxtyping import Bool, Shaped

EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)
"""Pixels that touch at an edge or at a corner belong to one component."""

SPECK = 0.02
"""Components under this share of their class's pixels get no box of their own."""


@dataclass(frozen=True, init=False)
class Box:
    """One object: where it is, which class, and how sure.

    Attributes:
        box: (x0, y0, x1, y1), half-open, in pixels, with x0 <= x1 and y0 <= y1. Any four numbers
            (a list, integers, NumPy scalars) are taken and held as floats.
        label: Class number, 1 to the number of classes; 0 is the background and has no box.
        score: Confidence; higher is surer. Finite; in [0, 1] by custom.
    """

    box: tuple[float, float, float, float]
    label: int
    score: float

    def __init__(
        self, box: Iterable[SupportsFloat], label: SupportsInt = 1, score: SupportsFloat = 1.0
    ) -> None:
        values = tuple(map(float, box))
        if len(values) != 4 or not all(map(math.isfinite, values)):
            raise ValueError(f"box: got {values}, expected four finite numbers x0, y0, x1, y1")
        x0, y0, x1, y1 = values
        if x1 < x0 or y1 < y0:
            raise ValueError(
                f"box: got {values}, expected x0 <= x1 and y0 <= y1 (x0, y0, x1, y1; a box written "
                "as x, y, width, height is x, y, x + width, y + height)"
            )
        number = int(label)
        if number != label or number < 1:
            raise ValueError(
                f"label: got {label!r}, expected a whole number from 1 (0 is the background)"
            )
        if not math.isfinite(score):
            raise ValueError(f"score: got {score!r}, expected a finite number")
        object.__setattr__(self, "box", (x0, y0, x1, y1))
        object.__setattr__(self, "label", number)
        object.__setattr__(self, "score", float(score))


def whole_pixels(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Give the whole pixels that a box covers: its edges rounded, at least one pixel wide.

    Args:
        box: (x0, y0, x1, y1), half-open, in pixels.
        size: (height, width) of the image; what reaches out of it is cut off.

    Returns:
        (x0, y0, x1, y1), half-open, whole numbers held as floats.

    Raises:
        ValueError: If the box lies outside the image.
    """
    h, w = size
    x0, y0, x1, y1 = (round(value) for value in box)
    if not (x0 < w and y0 < h and x1 > 0 and y1 > 0):
        raise ValueError(f"detection: box {box} lies outside the image of {w}x{h} pixels")
    left, top = max(0, x0), max(0, y0)
    return float(left), float(top), float(min(w, max(x1, x0 + 1))), float(min(h, max(y1, y0 + 1)))


def mask_box(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """Give the box of a mask that is not empty: (x0, y0, x1, y1), half-open, in its pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def components(
    mask: Shaped[np.ndarray, "h w"], *, specks: Literal["sum", "largest"] = "sum"
) -> list[tuple[tuple[slice, slice], Bool[np.ndarray, "ch cw"]]]:
    """Give the 8-connected components of a mask, in reading order.

    Args:
        mask: Boolean or integer; non-zero is the object.
        specks: Components are left out under `SPECK` of all pixels together, or of the largest
            component's; the latter also where the former would leave none.

    Returns:
        For each, (rows, columns) of its box, and True on the pixels in it that are its own.
    """
    from scipy import ndimage

    labels, count = ndimage.label(mask, structure=EIGHT_CONNECTED)
    if count == 0:
        return []
    sizes = np.bincount(labels.ravel())[1:]
    least = SPECK * sizes.sum()
    if specks == "largest" or least > sizes.max():
        least = SPECK * sizes.max()
    return [
        (place, labels[place] == number)
        for number, place in enumerate(ndimage.find_objects(labels), start=1)
        if sizes[number - 1] >= least
    ]


def component_boxes(labels: Shaped[np.ndarray, "h w"], size: tuple[int, int]) -> list[Box]:
    """Give the boxes of all components of an index mask.

    Args:
        labels: Class numbers, 0 = background.
        size: (height, width) in pixels of the image that the boxes are for; the mask may have
            another resolution.

    Returns:
        A box for each of the :func:`components` of each class, in reading order.
    """
    from scipy import ndimage

    down, across = (s / m for s, m in zip(size, labels.shape, strict=True))
    boxes = []
    # Each class is looked at where it is, else many classes would cost the whole mask each.
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None:
            continue
        top, left = place[0].start, place[1].start
        for (rows, columns), _ in components(labels[place] == number):
            x0, x1 = ((left + column) * across for column in (columns.start, columns.stop))
            y0, y1 = ((top + row) * down for row in (rows.start, rows.stop))
            boxes.append(Box((x0, y0, x1, y1), number))
    return boxes
