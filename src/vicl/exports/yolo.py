"""YOLO's label files: a text file an image, a line an object, coordinates from 0 to 1.

Classes count from 0 here, without a background: class 1 of the mask is 0 in the file.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from vicl.exports.annotation import Annotation, ExportError, check_classes, clipped_boxes
from vicl.exports.companions import write_companions
from vicl.exports.regions import EDGE_INSET, find_regions, object_boxes
from vicl.exports.shapes import MOST_SHAPES, Shape, Shapes, corners, outline
from vicl.files import display, write_atomic
from vicl.files.bounded import read_bounded


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
    return f"{label - 1}{' %.6f' * len(numbers) % tuple(numbers)}\n"  # all of them in one step


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


_NAME_LISTS: Final = ("classes.txt", "data.yaml", "obj.names")
"""Where the names of classes stand: beside a label file or up to two folders up, as in
`labels/train/`; the nearest counts, and of those in one folder the first."""
_NAMES_LIMIT: Final = 1 << 20
_OUTSIDE: Final = 0.01
"""Share of a side by which coordinates may reach out of the image: other tools round."""


def yolo_shapes(data: bytes, path: str | os.PathLike[str]) -> Shapes:
    """Give the objects of a label file: boxes (with a score or without), or outlines.

    Args:
        data: The file.
        path: Where it is; the classes' names are looked for in :data:`_NAME_LISTS`.

    Raises:
        ExportError: If a line is no object, or of a class that the list of names does not have.
    """
    name = display(path)
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ExportError(
            f"{name}: is no text; expected YOLO's labels, a line an object"
        ) from error
    filled = [(at, words) for at, line in enumerate(lines, start=1) if (words := line.split())]
    if len(filled) > MOST_SHAPES:
        raise ExportError(f"{name}: has {len(filled)} lines, expected up to {MOST_SHAPES}")
    names = listed_names(Path(path))
    found = [_object(words, f"{name}: line {at}") for at, words in filled]
    highest = max((number for number, _ in found), default=-1)
    known = tuple(map(str, range(highest + 1))) if names is None else names
    if highest >= len(known):
        raise ExportError(
            f"{name}: has class {highest}, but only {len(known)} classes are named beside it (in "
            f"{' or '.join(_NAME_LISTS)}); classes count from 0"
        )
    shapes = tuple(
        Shape(shape.where, known[number], shape.region, shape.box) for number, shape in found
    )
    return Shapes(name, shapes, known, ordered=True, relative=True, numbered=names is None)


def _object(words: Sequence[str], where: str) -> tuple[int, Shape]:
    expected = (
        "expected a class number from 0 and then x, y, width, height, or three or more points x y, "
        "as shares of the image"
    )
    try:
        number, values = int(words[0]), [float(word) for word in words[1:]]
    except ValueError as error:
        raise ExportError(f"{where}: {' '.join(words)[:60]!r} is no object; {expected}") from error
    if not 0 <= number < 1 << 16 or len(values) < 4 or (len(values) > 5 and len(values) % 2):
        raise ExportError(f"{where}: has {len(words)} numbers, the class {number}; {expected}")
    if not all(map(math.isfinite, values)):
        raise ExportError(f"{where}: got NaN or infinity; {expected}")
    if len(values) > 5:
        path = outline(values, where)
        _check_shares(float(path.min()), float(path.max()), where)
        return number, Shape(where, None, (path,))
    x, y, width, height = values[:4]
    box = corners(x - width / 2, y - height / 2, x + width / 2, y + height / 2, where)
    _check_shares(min(box), max(box), where)
    return number, Shape(where, None, box=box)


def _check_shares(low: float, high: float, where: str) -> None:
    if low < -_OUTSIDE or high > 1 + _OUTSIDE:
        raise ExportError(
            f"{where}: reaches from {low:.6g} to {high:.6g}, expected shares of the image from 0 "
            "to 1; divide x by its width and y by its height"
        )


def listed_names(path: Path) -> tuple[str, ...] | None:
    """The classes' names for a file of labels, from the first list of them that there is.

    Raises:
        ExportError: If it is none.
    """
    for folder in path.absolute().parents[:3]:
        for listed in _NAME_LISTS:
            file = folder / listed
            if file.is_file() and file.name != path.name:
                data = read_bounded(file, _NAMES_LIMIT, ExportError)
                given = _names_in_yaml(data) if file.suffix == ".yaml" else _names_in_text(data)
                if given is None or not all(one.strip() and one.isprintable() for one in given):
                    raise ExportError(
                        f"{display(file)}: names no classes; expected a name a line, or in YAML "
                        "names: as a list or by number from 0"
                    )
                return tuple(given)
    return None


def _names_in_text(data: bytes) -> list[str] | None:
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        return None
    while lines and not lines[-1]:
        lines.pop()
    return lines or None


def _names_in_yaml(data: bytes) -> list[str] | None:
    from vicl.files import plain_yaml  # YAML takes its time to import

    try:
        document: Any = plain_yaml.parse(data)[0]
    except plain_yaml.FAULTS:
        return None
    names = document.get("names") if isinstance(document, dict) else None
    if isinstance(names, dict):
        numbered = all(isinstance(number, int) for number in names)
        if not numbered or sorted(names) != list(range(len(names))):
            return None
        names = [names[number] for number in range(len(names))]
    return list(map(str, names)) if isinstance(names, list) and names else None
