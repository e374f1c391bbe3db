"""YOLO's label files: a text file an image, a line an object, coordinates from 0 to 1.

Classes count from 0 here, without a background: class 1 of the mask is 0 in the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from vicl.exports.annotation import Annotation, ExportError, check_classes, clipped_boxes
from vicl.exports.companions import write_companions
from vicl.exports.regions import EDGE_INSET, find_regions, object_boxes
from vicl.files import write_atomic


def yolo_boxes(annotation: Annotation, *, min_area: int = 1) -> str:
    """Give ``class x_centre y_centre width height`` for each object.

    Args:
        annotation: Its boxes are written, or where it has none those around its mask's components.
        min_area: Components of fewer pixels are left out.

    Returns:
        The text of the label file; empty without objects.
    """
    height, width = annotation.size
    lines = []
    for box in object_boxes(annotation, min_area=min_area):
        x0, y0, x1, y1 = box.box
        middle, side = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height), (x1 - x0, y1 - y0)
        lines.append(_line(box.label, [*middle, side[0] / width, side[1] / height]))
    return "".join(lines)


def yolo_segments(annotation: Annotation, *, min_area: int = 1, tolerance: float = 0.0) -> str:
    """Give ``class x1 y1 x2 y2 ...`` for each object: the outline of one component of the mask.

    Outlines are pulled in by :data:`vicl.exports.regions.EDGE_INSET`, so that Ultralytics' reader,
    which cuts to whole pixels, gets the mask back at the image's size. Holes are kept (see
    :mod:`vicl.exports.outlines`).

    Args:
        annotation: Where it has no mask, its boxes are written as rectangles.
        min_area: Components of fewer pixels are left out.
        tolerance: Pixels by which an outline may be off to save points; 0 is exact.

    Returns:
        The text of the label file; empty without objects.
    """
    height, width = annotation.size
    lines = []
    if annotation.mask is None:
        for box in clipped_boxes(annotation):
            x0, y0, x1, y1 = box.box
            corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
            numbers = [value for x, y in corners for value in (x / width, y / height)]
            lines.append(_line(box.label, numbers))
    for region in find_regions(
        annotation, min_area=min_area, polygons=True, inset=EDGE_INSET, tolerance=tolerance
    ):
        for path in region.polygons:
            lines.append(_line(region.label, (path / (width, height)).ravel().tolist()))
    return "".join(lines)


def _line(label: int, numbers: Sequence[float]) -> str:
    return " ".join([str(label - 1), *(f"{number:.6f}" for number in numbers)]) + "\n"


def write_yolo(
    path: str | os.PathLike[str],
    annotation: Annotation,
    *,
    style: Literal["boxes", "segments"] = "boxes",
    min_area: int = 1,
    tolerance: float = 0.0,
) -> None:
    """Write one image's label file; an empty one says that the image has no objects.

    Args:
        path: By custom the image's name with ``.txt``, in the folder of labels.
        annotation: What was found.
        style: Boxes or outlines.
        min_area: See :func:`yolo_segments`.
        tolerance: The same, of outlines.
    """
    if style not in ("boxes", "segments"):
        raise ExportError(f"style: got {style!r}, expected 'boxes' or 'segments'")
    if style == "boxes":
        text = yolo_boxes(annotation, min_area=min_area)
    else:
        text = yolo_segments(annotation, min_area=min_area, tolerance=tolerance)
    write_atomic(path, text.encode("ascii"))


def yolo_class_files(classes: Sequence[str]) -> dict[str, bytes]:
    """The files that name the classes: ``classes.txt``, a line each, and ``data.yaml``."""
    names = check_classes(classes)
    # A JSON string is a YAML string too, with all quoting done.
    entries = (f"  {i}: {json.dumps(name, ensure_ascii=False)}\n" for i, name in enumerate(names))
    text = f"nc: {len(names)}\nnames:\n" + "".join(entries)
    listed = "".join(f"{name}\n" for name in names)
    return {"classes.txt": listed.encode("utf-8"), "data.yaml": text.encode("utf-8")}


def write_yolo_classes(folder: str | os.PathLike[str], classes: Sequence[str]) -> None:
    """Write the names of the classes: see :func:`yolo_class_files`.

    To train on the labels with Ultralytics, add ``path``, ``train`` and ``val`` to a copy of
    ``data.yaml``.

    Raises:
        ExportError: If one of them is there and says something else.
    """
    write_companions({Path(folder) / name: d for name, d in yolo_class_files(classes).items()})
