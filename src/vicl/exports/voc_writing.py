"""Pascal VOC's XML: a file an image, a box an object.

The numbers of a box are pixels counted from 1, the last one included, as the VOC development kit
and most readers have it: 1, 1, width, height is the whole image.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from pathlib import PurePosixPath

from vicl.exports.annotation import Annotation
from vicl.exports.regions import object_boxes
from vicl.files import write_atomic


def voc(annotation: Annotation, *, min_area: int = 1) -> str:
    """Give one image's objects as Pascal VOC keeps them.

    Args:
        annotation: Its boxes are written, cut to the image and rounded to whole pixels, or where it
            has none those around its mask's components.
        min_area: Components of fewer pixels are left out.

    Returns:
        The text of the XML file; without objects it has the image's name and size only.
    """
    height, width = annotation.size
    path = PurePosixPath(annotation.file_name)
    root = ET.Element("annotation")
    _add(root, "folder", path.parent.name)
    _add(root, "filename", path.name)
    _add(ET.SubElement(root, "source"), "database", "Answers written by vicl")
    size = ET.SubElement(root, "size")
    for side, pixels in (("width", width), ("height", height), ("depth", 3)):
        _add(size, side, str(pixels))
    _add(root, "segmented", "0")
    for box in object_boxes(annotation, min_area=min_area):
        entry = ET.SubElement(root, "object")
        _add(entry, "name", annotation.classes[box.label - 1])
        for what, value in (("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")):
            _add(entry, what, value)
        x0, y0, x1, y1 = (round(value) for value in box.box)
        # A box of less than a pixel is the pixel that it lies in.
        corner = (min(x0 + 1, width), min(y0 + 1, height))
        sides = (*corner, max(x1, corner[0]), max(y1, corner[1]))
        bounds = ET.SubElement(entry, "bndbox")
        for side, pixels in zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True):
            _add(bounds, side, str(pixels))
    ET.indent(root, "\t")
    return ET.tostring(root, encoding="unicode") + "\n"


def write_voc(path: str | os.PathLike[str], annotation: Annotation, *, min_area: int = 1) -> None:
    """Write one image's file; see :func:`voc`. An existing file is replaced."""
    write_atomic(path, voc(annotation, min_area=min_area).encode("utf-8"))


def _add(parent: ET.Element, tag: str, text: str) -> None:
    # XML has no control characters; they can stand in names of files only.
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    ET.SubElement(parent, tag).text = plain
