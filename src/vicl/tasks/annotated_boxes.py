"""Boxes as people write them, for the examples of detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from vicl.tasks.boxes import Box

_FORM = "rows of x0, y0, x1, y1 in pixels of the input"


def annotated_boxes(
    annotation: Any, classes: Sequence[str], size: tuple[int, int]
) -> list[Box] | None:
    """Take boxes as people write them.

    Args:
        annotation: Boxes (x0, y0, x1, y1) as a list, an (n, 4) array or tensor, or one box alone,
            each four numbers or a :class:`vicl.tasks.boxes.Box`; or a mapping of class names to
            such boxes.
        classes: Names of class 1 and up.
        size: (height, width) of the input, in pixels.

    Returns:
        The boxes; None if the annotation is something else, such as a mask.

    Raises:
        ValueError: If a box has no area, holds no four finite numbers or lies within one pixel, as
            boxes in shares of the image do; the message says which one.
    """
    if not isinstance(annotation, Mapping):
        rows = _rows(annotation, size)
        return None if rows is None else _boxes(rows, "boxes", 1, size)
    if {"boxes", "labels"} <= annotation.keys() - set(classes):
        raise ValueError(
            f"detection: got a mapping with the keys {list(map(str, annotation))}, expected class "
            f"names among {tuple(classes)}, each with its boxes: {{'{classes[0]}': boxes}}"
        )
    by_class = {name: _rows(boxes, size) for name, boxes in annotation.items()}
    if any(rows is None for rows in by_class.values()):
        return None
    unknown = [name for name in by_class if name not in classes]
    if unknown:
        raise ValueError(f"detection: got boxes of {unknown}, expected classes among {classes}")
    found: list[Box] = []
    for name, rows in by_class.items():
        assert rows is not None
        found += _boxes(rows, f"boxes of {name!r}", classes.index(name) + 1, size)
    return found


def _rows(annotation: Any, size: tuple[int, int]) -> list[Any] | None:
    """Boxes one by one; None if these are no boxes."""
    if isinstance(annotation, Box):
        return [annotation]
    if isinstance(annotation, Tensor):
        annotation = annotation.detach().cpu()
        annotation = (annotation.float() if annotation.is_floating_point() else annotation).numpy()
    if isinstance(annotation, np.ndarray):
        if annotation.dtype.kind not in "fiu":
            return None
        return _numbers(annotation, size)
    if not isinstance(annotation, list | tuple):
        return None
    if all(isinstance(row, Box) or _is_four(row) for row in annotation):
        return list(annotation)
    try:
        numbers = np.asarray(annotation, np.float64)
    except (TypeError, ValueError, RuntimeError):
        return None  # rows that differ in length, words, ...
    return _numbers(numbers, size)


def _numbers(array: np.ndarray, size: tuple[int, int]) -> list[Any] | None:
    if array.shape == (4,):
        array = array[None]
    if array.ndim == 3 and array.shape[::2] == (1, 4):  # a batch of one
        array = array[0]
    if array.ndim == 2 and array.shape[1] == 4:
        rows: list[Any] = array.tolist()
        return rows
    # As narrow as that, it is no mask of the picture.
    if (array.ndim == 2 and 2 <= array.shape[1] <= 8 < size[1] // 2) or array.ndim == 1:
        raise ValueError(
            f"detection: got boxes of shape {array.shape}, expected (n, 4): {_FORM}; classes are "
            "given by name, {'name': boxes}"
        )
    return None


def _is_four(row: Any) -> bool:
    if isinstance(row, np.ndarray | Tensor):
        return tuple(row.shape) == (4,)
    return isinstance(row, list | tuple) and len(row) == 4


def _boxes(rows: Sequence[Any], where: str, label: int, size: tuple[int, int]) -> list[Box]:
    boxes = []
    for index, row in enumerate(rows):
        try:
            box = row if isinstance(row, Box) else Box(row, label)
        except (TypeError, ValueError) as error:
            raise ValueError(f"detection: {where}[{index}]: {error}") from error
        x0, y0, x1, y1 = box.box
        if x0 == x1 or y0 == y1:
            raise ValueError(
                f"detection: {where}[{index}]: {box.box} has no area, expected x0 < x1 and "
                f"y0 < y1 ({_FORM}); leave it out"
            )
        boxes.append(box)
    if boxes and max(size) > 1 and all(min(b.box) >= 0 and max(b.box) <= 1 for b in boxes):
        h, w = size
        raise ValueError(
            f"detection: {where}[0]: {boxes[0].box} lies within one pixel, so it seems to be in "
            f"shares of the image; expected {_FORM}: multiply x by {w} and y by {h}"
        )
    return boxes
