"""Annotations that other tools made, as outputs of examples: LabelMe, COCO, YOLO, Pascal VOC.

| file | read as |
|---|---|
| `.json` with `shapes` | LabelMe, one image (:func:`vicl.exports.labelme.labelme_shapes`) |
| `.json` with `images`, `annotations` | COCO, one of its images (:mod:`vicl.exports.coco_reader`) |
| `.txt` | YOLO: boxes or outlines, one image (:func:`vicl.exports.yolo.yolo_shapes`) |
| `.xml` | Pascal VOC: boxes, one image (:mod:`vicl.exports.voc`) |

A file may come from a stranger: its size is bounded before it is read, and its nesting, numbers and
references are checked.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from vicl.exports.annotation import ExportError
from vicl.exports.coco_reader import coco_shapes
from vicl.exports.labelme import labelme_shapes
from vicl.exports.shapes import Shapes
from vicl.exports.voc import voc_shapes
from vicl.exports.yolo import yolo_shapes
from vicl.files import display
from vicl.files.bounded import read_bounded
from vicl.files.faults import said
from vicl.files.plain_json import parse_json

ANNOTATION_SUFFIXES: Final = frozenset({".json", ".txt", ".xml"})
"""Endings of the files that are read as annotations, in lower case."""

FILE_LIMITS: Final = {".json": 1 << 25, ".txt": 1 << 24, ".xml": 1 << 22}
"""Bytes. A LabelMe file may hold its image as text."""


def is_annotation_file(output: object) -> bool:
    """Whether an example's output is the path of a file of annotations."""
    if not isinstance(output, str | os.PathLike):
        return False
    return Path(output).suffix.lower() in ANNOTATION_SUFFIXES


def read_shapes(path: str | os.PathLike[str], image: object = None) -> Shapes:
    """Read what a file says of one image.

    Args:
        path: Ends in one of :data:`ANNOTATION_SUFFIXES`.
        image: The image that it is for: its path, by which it is found in a file of several; other
            things count as unnamed.

    Raises:
        ExportError: If the file cannot be read, is of no known format, is damaged, or says nothing
            of the image.
    """
    suffix = Path(path).suffix.lower()
    name = display(path)
    file = Path(image) if isinstance(image, str | os.PathLike) else None
    if suffix == ".txt":
        # An empty file says that the image has no objects.
        empty = Path(path).is_file() and Path(path).stat().st_size == 0
        return yolo_shapes(
            b"" if empty else read_bounded(path, FILE_LIMITS[suffix], ExportError), path
        )
    data = read_bounded(path, FILE_LIMITS[suffix], ExportError)
    if suffix == ".xml":
        return voc_shapes(data, name, file)
    document = _parse(data, name)
    if "shapes" in document:
        return labelme_shapes(document, name, file)
    if "annotations" in document and "images" in document:
        return coco_shapes(document, name, file)
    keys = ", ".join(display(key[:20]) for key in list(document)[:6])
    raise ExportError(
        f"{name}: is JSON, but neither LabelMe's (with shapes) nor COCO's (with images, "
        f"annotations and categories); it has {keys or 'nothing'}; export it anew as one of these"
    )


def _parse(data: bytes, name: str) -> dict[str, Any]:
    try:
        document = parse_json(data)
    except ValueError as error:
        raise ExportError(
            f"{name}: {said(error)}, or is cut off; expected a LabelMe or COCO file, in whole"
        ) from error
    if not isinstance(document, dict):
        raise ExportError(
            f"{name}: holds a JSON {type(document).__name__}, expected a LabelMe or COCO file "
            "(Label Studio and others: export as COCO)"
        )
    return document
