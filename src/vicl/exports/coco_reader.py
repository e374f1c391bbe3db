"""One image's objects from a COCO file, by any writer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from vicl.exports.annotation import ExportError
from vicl.exports.coco import CocoAnnotation, CocoImage, check_coco
from vicl.exports.shapes import MOST_SHAPES, Corners, Outline, Shape, Shapes, corners, outline
from vicl.files import display


def coco_shapes(document: Mapping[str, Any], name: str, image: Path | None) -> Shapes:
    """Give the objects of one image of a COCO file; those of other images are not looked at.

    Args:
        document: The file's JSON.
        name: What messages call it.
        image: The image's file; it is found by `file_name`. None for the only image there is.

    Raises:
        ExportError: If it is no such file, does not hold the image or holds it twice, or an object
            has no region.
    """
    listed, entries = dict(document) | {"annotations": []}, document["annotations"]
    record = _find(check_coco(listed, name)["images"], image, name)
    if isinstance(entries, list):
        of_it = (
            _plain(e, name)
            for e in entries
            if isinstance(e, dict) and e.get("image_id") == record["id"]
        )
        entries = list(islice(of_it, MOST_SHAPES + 1))
        if len(entries) > MOST_SHAPES:
            raise ExportError(f"{name}: has more than {MOST_SHAPES} objects in one image")
    dataset = check_coco(listed | {"images": [record], "annotations": entries}, name)
    names = {c["id"]: c["name"] for c in sorted(dataset["categories"], key=lambda c: c["id"])}
    shapes = tuple(
        _shape(entry, names[entry["category_id"]], name) for entry in dataset["annotations"]
    )
    size = (record["height"], record["width"])
    return Shapes(name, shapes, tuple(dict.fromkeys(names.values())), ordered=True, size=size)


def _plain(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An entry as COCO has it: some writers say null for what is missing, and false for 0."""
    found = {key: value for key, value in entry.items() if value is not None}
    if isinstance(found.get("iscrowd"), bool):
        found["iscrowd"] = int(found["iscrowd"])
    paths = found.get("segmentation", [])
    outlines = isinstance(paths, list) and all(
        isinstance(path, list) and not any(isinstance(value, list) for value in path)
        for path in paths
    )
    if not outlines and not isinstance(paths, dict):
        raise ExportError(
            f"{name}: annotation {display(str(found.get('id'))[:20])}: segmentation: got "
            f"{str(paths)[:40]!r}, expected run lengths, or a list of outlines, each x1, y1, x2, "
            "y2, ... in one list"
        )
    return found


def _shape(entry: CocoAnnotation, category: str, name: str) -> Shape:
    where = f"{name}: annotation {entry['id']} ({display(category[:40])})"
    crowd = bool(entry.get("iscrowd", 0))
    given = entry.get("segmentation")
    box: Corners | None = None
    x, y, width, height = entry.get("bbox", (0, 0, 0, 0))
    if "bbox" in entry and (not given or (width > 0 and height > 0)):
        box = corners(x, y, x + width, y + height, f"{where}: bbox")
    if isinstance(given, dict):
        return Shape(where, category, given, box, crowd)
    paths: tuple[Outline, ...] = tuple(
        outline(path, f"{where}: segmentation") for path in given or ()
    )
    if not paths and box is None:
        raise ExportError(f"{where}: has neither segmentation nor bbox, expected one of them")
    return Shape(where, category, paths, box, crowd)


def _find(records: Sequence[CocoImage], image: Path | None, name: str) -> CocoImage:
    """The image's entry: by the most of its path that agrees, else by its bare name."""
    if image is None:
        if len(records) == 1:
            return records[0]
        raise ExportError(
            f"{name}: holds {len(records)} images; give the example's input as a path, by which it "
            "is found"
        )
    own = _parts(str(image.absolute()))
    agreeing: list[tuple[int, CocoImage]] = []
    for record in records:
        parts = _parts(record["file_name"])
        if parts and own[-len(parts) :] == parts:
            agreeing.append((len(parts), record))
    longest = max((length for length, _ in agreeing), default=0)
    found = [record for length, record in agreeing if length == longest]
    if not found:
        found = [r for r in records if _parts(r["file_name"])[-1:] == own[-1:]]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(display(record["file_name"]) for record in found[:4])
        raise ExportError(
            f"{name}: {len(found)} of its images may be {display(image)} ({listed}); rename it, or "
            "leave one in the file"
        )
    listed = ", ".join(display(record["file_name"]) for record in records[:4])
    raise ExportError(
        f"{name}: holds no image called {display(image.name)}; its images are "
        f"{listed or 'none'}{', ...' if len(records) > 4 else ''}"
    )


def _parts(path: str) -> list[str]:
    """The folders and the name of a path by any system's slashes."""
    return [part for part in re.split(r"[/\\]", path) if part not in ("", ".")]
