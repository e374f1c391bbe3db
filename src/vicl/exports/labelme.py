"""LabelMe's JSON, to correct answers by hand in its editor or in those that read its files."""

from __future__ import annotations

import json
import os
from typing import Any

from vicl.exports.annotation import Annotation, clipped_boxes
from vicl.exports.regions import EDGE_INSET, find_regions
from vicl.files import write_atomic

VERSION = "5.5.0"
"""Of LabelMe, whose reader warns if its first number differs from its own."""


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
    write_atomic(path, json.dumps(document, ensure_ascii=False, indent=2).encode("utf-8"))
