"""Pascal VOC's XML: a file an image, a box an object.

The numbers of a box are pixels counted from 1, the last one included: 1, 1, w, h is the whole image
(as the VOC development kit and most readers have it).  Files are
written so.  A file that is read, in which a box starts at 0 or has fractions, counts otherwise:
then they are edges from 0 to w and h.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from pathlib import Path, PurePosixPath
from typing import Final

from vicl.exports.annotation import Annotation, ExportError
from vicl.exports.regions import object_boxes
from vicl.exports.shapes import MOST_SHAPES, Shape, Shapes, corners
from vicl.exports.sources import warn_of_other_image
from vicl.files import display, write_atomic
from vicl.files.plain_xml import parse_xml

_SIDES: Final = ("xmin", "ymin", "xmax", "ymax")


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
        for side, pixels in zip(_SIDES, sides, strict=True):
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


def voc_shapes(data: bytes, name: str, image: Path | None) -> Shapes:
    """Give the objects of a file.

    Args:
        data: The file; document types and entities in it are refused.
        name: What messages call it.
        image: The image's file, for a warning where the annotation names another.

    Raises:
        ExportError: If it is no such file, or a box is damaged.
    """
    root = parse_xml(data, name, "Pascal VOC file", ExportError)
    if root.tag != "annotation":
        raise ExportError(
            f"{name}: is XML, but its root is <{display(root.tag[:40])}>, expected Pascal VOC's "
            "<annotation>"
        )
    warn_of_other_image(name, root.findtext("filename"), image)
    objects = root.findall("object")
    if len(objects) > MOST_SHAPES:
        raise ExportError(f"{name}: has {len(objects)} objects, expected up to {MOST_SHAPES}")
    found = []
    for index, entry in enumerate(objects, start=1):
        label = (entry.findtext("name") or "").strip()
        where = f"{name}: object {index} ({display(label[:40])})"
        if not label:
            raise ExportError(f"{where}: has no <name>")
        found.append((where, label, _numbers(entry, where)))
    inclusive = all(
        min(box[:2]) >= 1 and all(value.is_integer() for value in box) for _, _, box in found
    )
    shift = 1 if inclusive else 0
    shapes = tuple(
        Shape(where, label, box=corners(x0 - shift, y0 - shift, x1, y1, where))
        for where, label, (x0, y0, x1, y1) in found
    )
    names = tuple(sorted({label for _, label, _ in found}))
    return Shapes(name, shapes, names, size=_size(root))


def _numbers(entry: ET.Element, where: str) -> tuple[float, float, float, float]:
    box = entry.find("bndbox")
    if box is None:
        raise ExportError(f"{where}: has no <bndbox>; only boxes are read of Pascal VOC")
    try:
        x0, y0, x1, y1 = (float(box.findtext(side) or "") for side in _SIDES)
    except ValueError as error:
        raise ExportError(f"{where}: expected a number in each of {', '.join(_SIDES)}") from error
    return x0, y0, x1, y1


def _size(root: ET.Element) -> tuple[int, int] | None:
    """(height, width), where the file says them; some tools write zeros."""
    try:
        h, w = (int(root.findtext(f"size/{side}") or "") for side in ("height", "width"))
    except ValueError:
        return None
    return (h, w) if 0 < h < 1 << 31 and 0 < w < 1 << 31 else None
