"""What was found in one image, as plain data: what every export writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, UInt8

from vicl.images import brief_fields
from vicl.tasks.boxes import Box

MAX_CLASSES = 255  # what a mask of bytes can tell apart, beside the background


class ExportError(ValueError):
    """An annotation, or a file of annotations, is not what it should be."""


def check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Check class names: 1 to 255, distinct, on one line each.

    Raises:
        ExportError: Else.
    """
    if isinstance(classes, str):
        raise ExportError(f"classes: got {classes!r}, expected a list of names: [{classes!r}]")
    names = tuple(classes)
    if not 1 <= len(names) <= MAX_CLASSES:
        raise ExportError(f"classes: got {len(names)} names, expected 1 to {MAX_CLASSES}")
    for name in names:
        if not name.strip() or not name.isprintable():
            raise ExportError(
                f"classes: got the name {name!r}, expected printable text on one line"
            )
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ExportError(f"classes: got {', '.join(twice)} more than once, expected each once")
    return names


@dataclass(frozen=True, eq=False)
class Annotation:
    """The objects in one image.

    Attributes:
        file_name: Name of the image, as the export is to give it (may hold folders).
        size: (height, width) in pixels.
        classes: Names of class 1 and up; 0 is the background and is not named.
        mask: Class of each pixel: 0 is the background, k is ``classes[k - 1]``. None if the image
            was not segmented.
        boxes: Objects found; a box may lie up to one pixel outside the image (it is cut to the
            image when it is written).
        confidence: How sure the mask is of each pixel, or None. An object's score is its mean.
        objects: Numbers that tell a mask's objects apart (see
            :func:`vicl.tasks.objects.separate_objects`), or None: then each 8-connected component
            of a class is one.
    """

    file_name: str
    size: tuple[int, int]
    classes: tuple[str, ...]
    mask: UInt8[np.ndarray, "h w"] | None = None
    boxes: tuple[Box, ...] = ()
    confidence: Float[np.ndarray, "h w"] | None = None
    objects: Int[np.ndarray, "h w"] | None = None

    def __repr__(self) -> str:
        return brief_fields(self)

    def __post_init__(self) -> None:
        _check_name(self.file_name)
        where = repr(self.file_name)
        if len(self.size) != 2 or min(self.size) < 1:
            raise ExportError(f"{where}: size: got {self.size}, expected (height, width) from 1")
        object.__setattr__(self, "size", (int(self.size[0]), int(self.size[1])))
        object.__setattr__(self, "classes", check_classes(self.classes))
        arrays = {"mask": self.mask, "confidence": self.confidence, "objects": self.objects}
        for what, values in arrays.items():
            if values is not None and values.shape != self.size:
                raise ExportError(
                    f"{where}: {what}: got shape {values.shape}, expected the image's (height, "
                    f"width) = {self.size}"
                )
        if self.mask is not None:
            check_mask_values(f"{where}: mask", self.mask, len(self.classes))
        if self.confidence is not None and not np.isfinite(self.confidence).all():
            raise ExportError(f"{where}: confidence: got NaN or infinity, expected numbers")
        for box in self.boxes:
            self._check_box(box)

    def _check_box(self, box: Box) -> None:
        height, width = self.size
        if box.label > len(self.classes):
            raise ExportError(
                f"{self.file_name!r}: box of class {box.label}, expected 1 to {len(self.classes)} "
                f"({', '.join(self.classes)})"
            )
        x0, y0, x1, y1 = box.box
        if min(x0, y0) < -1 or x1 > width + 1 or y1 > height + 1:
            raise ExportError(
                f"{self.file_name!r}: box {box.box} lies outside the image of height {height} and "
                f"width {width}; expected x0, y0, x1, y1 in pixels of this image"
            )


def _check_name(name: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        name = ""
    if not name or "\0" in name:
        raise ExportError(
            "file_name: got an empty name or one that is not valid text, expected a name that can "
            "be written as UTF-8; rename the image"
        )


def check_mask_values(what: str, mask: UInt8[np.ndarray, "h w"], classes: int) -> None:
    """Check that a mask holds no class beyond the named ones.

    Raises:
        ExportError: If it does.
    """
    highest = int(mask.max(initial=0))
    if highest > classes:
        hint = ""
        if classes == 1 and highest == 255:
            hint = "; a mask of 0 and 255 is written as (mask > 0).astype(np.uint8)"
        raise ExportError(
            f"{what}: got class {highest}, expected 0 (background) to {classes}{hint}"
        )


def clipped_boxes(annotation: Annotation) -> tuple[Box, ...]:
    """Give the boxes cut to the image, without those that have no area."""
    height, width = annotation.size
    found = []
    for box in annotation.boxes:
        x0, x1 = (min(max(value, 0.0), float(width)) for value in box.box[0::2])
        y0, y1 = (min(max(value, 0.0), float(height)) for value in box.box[1::2])
        if x1 > x0 and y1 > y0:
            found.append(replace(box, box=(x0, y0, x1, y1)))
    return tuple(found)
