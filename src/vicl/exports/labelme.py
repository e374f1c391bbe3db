"""LabelMe's JSON, to correct answers by hand in its editor or in those that read its files."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from vicl.exports.annotation import Annotation, ExportError, clipped_boxes
from vicl.exports.regions import EDGE_INSET, find_regions
from vicl.exports.shapes import (
    MOST_SHAPES,
    Outline,
    Patch,
    Shape,
    Shapes,
    corners,
    numbers,
    outline,
)
from vicl.exports.sources import warn_of_other_image
from vicl.files import display, write_atomic
from vicl.images import DEFAULT_LIMIT_PIXELS, ImageError, open_bytes

VERSION = "5.5.0"
"""Of LabelMe, whose reader warns if its first number differs from its own."""

_NO_CLASS: Final = ("__ignore__", "_background_")
"""Labels by which LabelMe takes pixels away from the classes."""
_NO_AREA: Final = ("point", "points", "line", "linestrip")


def labelme(annotation: Annotation, *, min_area: int = 1, tolerance: float = 0.0) -> dict[str, Any]:
    """Give one image's objects as LabelMe keeps them: polygons of the mask, then the boxes.

    Polygons are pulled in by :data:`vicl.exports.regions.EDGE_INSET`: LabelMe's own conversion to
    masks then gives every pixel back.

    Args:
        annotation: What was found. LabelMe looks for the image at `file_name` from the folder of
            the JSON file.
        min_area: Components of fewer pixels are left out.
        tolerance: Pixels by which an outline may be off to save points, each of which is a handle
            in the editor; 0 is exact, 1 leaves about one point in ten of a round object.

    Returns:
        What :func:`json.dumps` takes.
    """
    shapes = [
        _shape(annotation.classes[region.label - 1], path.tolist(), "polygon")
        for region in find_regions(
            annotation, min_area=min_area, polygons=True, inset=EDGE_INSET, tolerance=tolerance
        )
        for path in region.polygons
    ]
    for box in clipped_boxes(annotation):
        x0, y0, x1, y1 = box.box
        shapes.append(_shape(annotation.classes[box.label - 1], [[x0, y0], [x1, y1]], "rectangle"))
    return {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": annotation.file_name,
        "imageData": None,
        "imageHeight": annotation.size[0],
        "imageWidth": annotation.size[1],
    }


def _shape(label: str, points: list[list[float]], kind: str) -> dict[str, Any]:
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
    }


def write_labelme(
    path: str | os.PathLike[str],
    annotation: Annotation,
    *,
    min_area: int = 1,
    tolerance: float = 0.0,
) -> None:
    """Write one image's file; see :func:`labelme`. An existing file is replaced."""
    document = labelme(annotation, min_area=min_area, tolerance=tolerance)
    # Not indented: that takes ten times as long, and each number would have a line of its own.
    write_atomic(path, json.dumps(document, ensure_ascii=False).encode("utf-8"))


def labelme_shapes(document: Mapping[str, Any], name: str, image: Path | None) -> Shapes:
    """Give the objects of a LabelMe file: its polygons, rectangles, circles and masks.

    Args:
        document: The file's JSON.
        name: What messages call it.
        image: The image's file, for a warning where the annotation names another.

    Raises:
        ExportError: If a shape is damaged, or of a type that has no area.
    """
    entries = document["shapes"]
    if not isinstance(entries, list) or len(entries) > MOST_SHAPES:
        raise ExportError(f"{name}: shapes: expected a list of up to {MOST_SHAPES} shapes")
    warn_of_other_image(name, document.get("imagePath"), image)
    shapes = tuple(_read(entry, index, name) for index, entry in enumerate(entries, start=1))
    names = tuple(sorted({shape.name for shape in shapes if shape.name is not None}))
    return Shapes(name, shapes, names, size=_size(document, name))


def _size(document: Mapping[str, Any], name: str) -> tuple[int, int] | None:
    """(height, width); None where the file leaves them out, as old ones do."""
    height, width = document.get("imageHeight"), document.get("imageWidth")
    if height is None or width is None:
        return None
    whole = all(isinstance(v, int) and 0 < v < 1 << 31 for v in (height, width))
    if not whole:
        raise ExportError(
            f"{name}: imageHeight, imageWidth: got {height!r:.40} and {width!r:.40}, expected "
            "numbers of pixels"
        )
    return height, width


def _read(entry: Any, index: int, name: str) -> Shape:
    where = f"{name}: shape {index}"
    if not isinstance(entry, dict):
        raise ExportError(f"{where}: expected an object with label and points")
    label = entry.get("label")
    if not isinstance(label, str) or not label.strip():
        raise ExportError(f"{where}: label: got {label!r:.40}, expected a name")
    where = f"{where} ({display(label[:40])})"
    kind = entry.get("shape_type") or "polygon"  # which the oldest files leave out
    # Without spaces around it, since the command line and the other formats lose them too.
    known = None if label in _NO_CLASS else label.strip()
    if kind in ("polygon", "rotation", "oriented_rectangle"):
        return Shape(where, known, (outline(entry.get("points"), f"{where}: points"),))
    if kind not in ("rectangle", "circle", "mask"):
        fault = "has no area" if kind in _NO_AREA else "is not known"
        raise ExportError(
            f"{where}: shape_type {kind!r:.40} {fault}, expected polygon, rectangle, circle or "
            "mask; draw it as one of these, or delete it"
        )
    points = numbers(entry.get("points"), f"{where}: points")
    if points.ndim != 2 or points.shape[1] != 2 or len(points) not in (2, 4):
        raise ExportError(f"{where}: points: expected two of them, x and y each")
    if kind == "circle":
        return Shape(where, known, (_circle(points[0], points[1], where),))
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    if kind == "mask":
        return Shape(where, known, _mask(entry.get("mask"), x0, y0, where))
    return Shape(where, known, box=corners(x0, y0, x1, y1, where))


def _circle(centre: np.ndarray, edge: np.ndarray, where: str) -> Outline:
    """A circle, by its centre and a point on it, as an outline that is off by far under a pixel."""
    radius = math.dist(centre, edge)
    if not 0 < radius < 1 << 24:
        raise ExportError(f"{where}: is a circle of radius {radius:g} pixels; draw it anew")
    count = 16 + math.ceil(8 * math.sqrt(radius))
    angles = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _mask(text: Any, left: float, top: float, where: str) -> Patch:
    """A piece of mask: a PNG as text, at the first of its two points."""
    if not isinstance(text, str):
        raise ExportError(f"{where}: is a mask, but holds none")
    try:
        data = base64.b64decode(text, validate=True)
        picture = open_bytes(data, f"{where}: mask", limit_pixels=DEFAULT_LIMIT_PIXELS)
    except ImageError as error:
        raise ExportError(str(error)) from error
    except ValueError as error:
        raise ExportError(f"{where}: its mask is no PNG in base64 ({error})") from error
    if abs(left) > 1 << 31 or abs(top) > 1 << 31:
        raise ExportError(f"{where}: its mask lies far out of any image")
    return Patch(np.asarray(picture.convert("L")) > 0, round(left), round(top))
