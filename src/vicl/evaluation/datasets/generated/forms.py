"""Circles and squares on a grid of pixels: drawing them, and telling one from the other."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from vicl.metrics import iou

Form = Literal["circle", "square"]


def figure(
    size: int, y: float | int, x: float | int, radius: float | int, *, form: Form
) -> Bool[np.ndarray, "s s"]:
    """Where a shape covers the pixels of a square picture; what reaches beyond it is cut off.

    Args:
        size: Side of the picture, in pixels.
        y: Row of the centre, in pixels.
        x: Column.
        radius: Of the circle, half the side of the square; its rim belongs to it.
        form: Which of both.
    """
    down, across = np.abs(np.arange(size) - y)[:, None], np.abs(np.arange(size) - x)
    if form == "circle":
        return np.asarray(down**2 + across**2 <= radius**2)
    return np.asarray(np.maximum(down, across) <= radius)


def form_of(mask: Bool[np.ndarray, "s s"]) -> Form | None:
    """Say whether a square fits a mask better than a circle, or neither, where it is empty.

    Of each form the best one by IoU is sought, by steps from the mask's centre and area and from
    the box around it. The picture's edge cuts it off as it may have cut off the mask's shape.
    """
    if not mask.any():
        return None
    square, circle = (_best_fit(mask, form) for form in ("square", "circle"))
    return "square" if square > circle else "circle"


def _best_fit(mask: Bool[np.ndarray, "s s"], form: Form) -> float:
    """The IoU of a mask with the figure of a form that fits it best."""
    area, places = float(mask.sum()), np.argwhere(mask)
    low, high = places.min(axis=0), places.max(axis=0)
    radius = np.sqrt(area / np.pi) if form == "circle" else (np.sqrt(area) - 1) / 2
    starts = (
        np.array([*places.mean(axis=0), radius]),
        np.array([*(low + high) / 2, (high - low).max() / 2]),
    )
    return max(_climbed(mask, form, start) for start in starts)


def _climbed(
    mask: Bool[np.ndarray, "s s"], form: Form, start: Float[np.ndarray, " 3"], *, step: float = 8.0
) -> float:
    """The best IoU on the way from a figure (y, x, radius), by ever smaller steps."""
    size, at = len(mask), start
    best = iou(figure(size, *map(float, at), form=form), mask)
    while step >= 0.25:
        tried = [at + step * move for move in _MOVES]
        scores = [iou(figure(size, *map(float, place), form=form), mask) for place in tried]
        if max(scores) > best:
            best = max(scores)
            at = tried[int(np.argmax(scores))]
        else:
            step /= 2
    return best


# Along each of y, x and the radius; and growing on one side only, as a shape does that an edge
# cuts off.
_MOVES = np.array(
    [*np.eye(3), *-np.eye(3), *((dy, dx, 1.0) for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)))]
)
