"""Detection: objects of each class, drawn as their filled boxes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vicl.images import DEFAULT_LIMIT_PIXELS, to_tensor
from vicl.metrics import box_iou
from vicl.prompt import Example
from vicl.tasks.annotated_boxes import annotated_boxes
from vicl.tasks.boxes import Box, component_boxes, components, whole_pixels
from vicl.tasks.pairs import read_pair
from vicl.tasks.task import MarkedTask, Passes, Pictures, Reading

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
        picture = to_tensor(example.input, limit_pixels=limit_pixels)
        size = (picture.shape[1], picture.shape[2])
        boxes = annotated_boxes(example.output, self.classes, size)
        if boxes is None:
            mask = read_pair(example, picture, self.marks, self.name, limit_pixels=limit_pixels)
            labels = mask.labels
            boxes = component_boxes(labels, size)
        drawn = [torch.zeros(size) for _ in range(self.passes)]
        for box in boxes:
            if not 1 <= box.label <= self.passes:
                raise ValueError(
                    f"detection: a box has class number {box.label}, expected 1 to {self.passes}"
                )
            _fill(drawn[box.label - 1], box)
        return tuple(Example(picture, output.expand(3, -1, -1)) for output in drawn)

    def read(self, images: Pictures) -> Reading:
        """The boxes of white components of each pass; a score is the mean brightness of one.

        Source: Bar et al. 2022, section 4 (single-object detection). Differs: `boxes="all"`.
        """
        boxes: list[Box] = []
        scores = np.stack([image.mean(dim=0).numpy() for image in images])
        clean = torch.zeros_like(images[0])
        for number, score in enumerate(scores, start=1):
            found = components(score > 0.5, specks="largest")
            found.sort(key=lambda component: -int(component[1].sum()))
            for where, inside in found if self.boxes == "all" else found[:1]:
                rows, columns = where
                corners = (columns.start, rows.start, columns.stop, rows.stop)
                boxes.append(Box(corners, number, float(score[where][inside].mean())))
                _fill(clean, boxes[-1])
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


def _fill(picture: Tensor, box: Box) -> None:
    """Paint a box white."""
    corners = whole_pixels(box.box, (picture.shape[-2], picture.shape[-1]))
    x0, y0, x1, y1 = (int(value) for value in corners)
    picture[..., y0:y1, x0:x1] = 1.0
