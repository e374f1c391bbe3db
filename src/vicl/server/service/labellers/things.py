"""What an answer has found, as labelling programs take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from vicl.exports.annotation import clipped_boxes
from vicl.exports.answers import Answer, as_annotation
from vicl.exports.regions import Instances, find_regions

TOLERANCE = 1.0
"""Pixels by which an outline may be off: each of its points is a handle in an editor."""


@dataclass(frozen=True, eq=False)
class Thing:
    """One thing in an image.

    Attributes:
        name: Its class.
        box: (x0, y0, x1, y1) in pixels, half-open.
        score: In [0, 1]; None if the engine cannot say.
        outline: Points (x, y) in pixels; None of a box, or where nobody asked for it.
        pixels: Column-major indices ``x * h + y``, rising; None of a box.
    """

    name: str
    box: tuple[float, float, float, float]
    score: float | None
    outline: Float[np.ndarray, "n 2"] | None = None
    pixels: Int[np.ndarray, " m"] | None = None


def things_of(answer: Answer, *, instances: Instances, outlines: bool = False) -> Sequence[Thing]:
    """The things of an answer: boxes of detection, or regions of its mask.

    Args:
        answer: Of a task with classes.
        instances: Regions: each by itself, or those of a class as one; where the answer tells
            objects apart, each is by itself.
        outlines: Whether outlines are traced; components only have them.
    """
    found = as_annotation("query", answer)
    if answer.mask is None:
        return [
            Thing(answer.classes[box.label - 1], box.box, box.score) for box in clipped_boxes(found)
        ]
    how: Instances = "components" if answer.objects is not None else instances
    regions = find_regions(found, instances=how, polygons=outlines, tolerance=TOLERANCE)
    return [
        Thing(
            answer.classes[region.label - 1],
            region.box,
            region.score,
            next(iter(region.polygons), None),
            region.pixels,
        )
        for region in regions
    ]
