"""Detection: objects of each class, drawn as their filled boxes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vicl.images import DEFAULT_LIMIT_PIXELS, open_shrunk
from vicl.metrics import box_iou
from vicl.prompt import Example
from vicl.tasks.annotated_boxes import annotated_boxes
from vicl.tasks.boxes import Box, component_boxes, components, whole_pixels
from vicl.tasks.pairs import read_pair
from vicl.tasks.task import EXAMPLE_SIZE, MarkedTask, Passes, Pictures, Reading, gray

Boxes = Literal["largest", "all"]
"""Which boxes of a class are read from an answer."""


@dataclass(frozen=True)
class DetectionTask(MarkedTask):
    """Objects of each class: their boxes are drawn filled, white on black.

    Attributes:
        boxes: What is read from an answer: the box of each class's largest component, or one for
            every component, largest first, but for specks (see :func:`components`).
    """

    name: str = "detection"
    metric: str = "box IoU"
    boxes: Boxes = "largest"

    def draw(self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Passes:
        """See :meth:`Task.draw`.

        The annotation is boxes (x0, y0, x1, y1) in pixels of the input (a list, an (n, 4) array or
        tensor, one box alone), a list of :class:`vicl.tasks.boxes.Box`, a mapping of class names
        to boxes, or a mask (see :mod:`vicl.tasks.masks`), whose components of at least 2% of its
        pixels get a box each.
        """
        picture, size = open_shrunk(example.input, EXAMPLE_SIZE, limit_pixels=limit_pixels)
        boxes = annotated_boxes(example.output, self.classes, size)
        if boxes is None:
            labels = read_pair(example, size, self.marks, self.name, limit_pixels=limit_pixels)
            boxes = component_boxes(labels, size)
        by_class: list[list[Box]] = [[] for _ in range(self.passes)]
        for box in boxes:
            if not 1 <= box.label <= self.passes:
                raise ValueError(
                    f"detection: a box has class number {box.label}, expected 1 to {self.passes}"
                )
            by_class[box.label - 1].append(box)
        return tuple(
            Example(picture, open_shrunk(_filled(of_class, size), EXAMPLE_SIZE)[0])
            for of_class in by_class
        )

    def read(self, images: Pictures) -> Reading:
        """The boxes of white components of each pass; a score is the mean brightness of one.

        Source: Bar et al. 2022, section 4 (single-object detection). Differs: `boxes="all"`.
        """
        boxes: list[Box] = []
        planes = [gray(image).numpy() for image in images]
        scores = planes[0][None] if len(planes) == 1 else np.stack(planes)
        for number, score in enumerate(scores, start=1):
            found = components(score > 0.5, specks="largest")
            found.sort(key=lambda component: -int(component[1].sum()))
            for where, inside in found if self.boxes == "all" else found[:1]:
                rows, columns = where
                corners = (columns.start, rows.start, columns.stop, rows.stop)
                boxes.append(Box(corners, number, float(score[where][inside].mean())))
        clean = Image.fromarray(_filled(boxes, scores.shape[1:]))
        return Reading(clean, scores=scores, boxes=tuple(boxes))

    def score(self, answers: Pictures, truths: Pictures) -> float:
        """IoU of the largest boxes, averaged over the classes that either side has a box of."""
        got, want = self._largest(answers), self._largest(truths)
        scores = [
            box_iou(got[n], want[n]) if n in got and n in want else 0.0 for n in got.keys() | want
        ]
        return float(np.mean(scores)) if scores else 1.0

    def _largest(self, images: Pictures) -> dict[int, tuple[float, float, float, float]]:
        largest = replace(self, boxes="largest")
        return {box.label: box.box for box in largest.read(images).boxes}


def _filled(boxes: Iterable[Box], size: tuple[int, ...]) -> UInt8[np.ndarray, "h w"]:
    """Paint boxes white on black."""
    height, width = size
    picture = np.zeros((height, width), np.uint8)
    for box in boxes:
        x0, y0, x1, y1 = (int(value) for value in whole_pixels(box.box, (height, width)))
        picture[y0:y1, x0:x1] = 255
    return picture
