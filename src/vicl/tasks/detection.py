"""Detection: one object a class, drawn as its filled box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vicl.images import DEFAULT_LIMIT_PIXELS, to_tensor
from vicl.metrics import box_iou
from vicl.prompt import Example
from vicl.tasks.boxes import Box, bounding_box, component_boxes, largest_component, whole_pixels
from vicl.tasks.masks import read_labels
from vicl.tasks.task import MarkedTask, Passes, Pictures, Reading


@dataclass(frozen=True)
class DetectionTask(MarkedTask):
    """One object a class: its box is drawn filled, white on black."""

    name: str = "detection"
    metric: str = "box IoU"

    def draw(self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Passes:
        """See :meth:`Task.draw`.

        The annotation is a list of boxes (x0, y0, x1, y1) in pixels of the input, an (n, 4) array
        of them, a list of :class:`vicl.tasks.boxes.Box`, a mapping of class names to lists of
        boxes, or a mask (see :mod:`vicl.tasks.masks`), whose components of at least 2% of its
        pixels get a box each.
        """
        picture = to_tensor(example.input, limit_pixels=limit_pixels)
        size = (picture.shape[1], picture.shape[2])
        boxes = self._boxes(example.output, limit_pixels, size)
        drawn = [torch.zeros(3, *size) for _ in range(self.passes)]
        for box in boxes:
            if not 1 <= box.label <= self.passes:
                raise ValueError(
                    f"detection: a box has class number {box.label}, expected 1 to {self.passes}"
                )
            _fill(drawn[box.label - 1], box)
        return tuple(Example(picture, output) for output in drawn)

    def read(self, images: Pictures) -> Reading:
        """The box of the largest white component of each pass; its score is the mean brightness.

        Source: Bar et al. 2022, section 4 (single-object detection).
        """
        boxes = []
        scores = np.stack([image.mean(dim=0).numpy() for image in images])
        clean = torch.zeros_like(images[0])
        for number, score in enumerate(scores, start=1):
            component = largest_component(score > 0.5)
            corners = bounding_box(component)
            if corners is not None:
                box = Box(corners, number, float(score[component].mean()))
                boxes.append(box)
                _fill(clean, box)
        return Reading(clean, scores=scores, boxes=tuple(boxes))

    def score(self, answers: Pictures, truths: Pictures) -> float:
        """IoU of the boxes, averaged over the classes that the truth or the answer has a box of."""
        got = {box.label: box.box for box in self.read(answers).boxes}
        want = {box.label: box.box for box in self.read(truths).boxes}
        scores = [
            box_iou(got[n], want[n]) if n in got and n in want else 0.0 for n in got.keys() | want
        ]
        return float(np.mean(scores)) if scores else 1.0

    def _boxes(self, annotation: Any, limit_pixels: int, size: tuple[int, int]) -> list[Box]:
        if isinstance(annotation, Mapping) and all(_is_boxes(v) for v in annotation.values()):
            unknown = [name for name in annotation if name not in self.classes]
            if unknown:
                raise ValueError(
                    f"detection: got boxes of {unknown}, expected classes among {self.classes}"
                )
            return [
                Box(box, self.classes.index(name) + 1)
                for name, boxes in annotation.items()
                for box in _rows(boxes)
            ]
        if _is_boxes(annotation):
            return [b if isinstance(b, Box) else Box(b) for b in _rows(annotation)]
        labels = read_labels(annotation, self.marks, limit_pixels=limit_pixels)
        return component_boxes(labels.labels, size)


def _is_boxes(annotation: Any) -> bool:
    if isinstance(annotation, np.ndarray):
        return annotation.ndim == 2 and annotation.shape[1] == 4 and annotation.dtype.kind in "fi"
    return isinstance(annotation, list | tuple) and all(
        isinstance(row, Box) or (isinstance(row, list | tuple | np.ndarray) and len(row) == 4)
        for row in annotation
    )


def _rows(annotation: Any) -> list[Any]:
    return list(annotation.tolist() if isinstance(annotation, np.ndarray) else annotation)


def _fill(picture: Tensor, box: Box) -> None:
    """Paint a box white."""
    corners = whole_pixels(box.box, (picture.shape[1], picture.shape[2]))
    x0, y0, x1, y1 = (int(value) for value in corners)
    picture[:, y0:y1, x0:x1] = 1.0
