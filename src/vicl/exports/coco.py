"""COCO's JSON for instances (https://cocodataset.org/#format-data): records, writing, reading.

Where this writer had to choose:

- Categories are numbered from 1, as the classes are; image and annotation numbers start at 1, since
  pycocotools' evaluation takes 0 for "none".
- An annotation comes from the mask where there is one; boxes are written only for images without
  a mask, with an empty ``segmentation``, since no outline is known.
- ``iscrowd`` is 0 with run lengths too: 1 would make evaluation ignore the object.
- A polygon holds holes by a line of no area; see :mod:`vicl.exports.outlines`.  Rasterised by
  pycocotools it gives every pixel back, as run lengths do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeAlias, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from vicl.exports.annotation import Annotation, ExportError, check_classes, clipped_boxes
from vicl.exports.regions import Instances, find_regions
from vicl.exports.rle import FIRST_FAULT, Rle, pixels_to_rle
from vicl.files import display, reason, write_atomic
from vicl.files.faults import said

CocoStyle: TypeAlias = Literal["rle", "uncompressed_rle", "polygon"]
"""How a region is written: run lengths as text (smallest), as numbers, or outlines."""

_Item = TypeVar("_Item")
_Many: TypeAlias = Annotated[list[_Item], FIRST_FAULT]

# Files written by other tools hold more keys; they are kept. Numbers must be numbers.
_OPEN = ConfigDict(extra="allow", strict=True)


@with_config(_OPEN)
class CocoImage(TypedDict):
    """One image."""

    id: int
    file_name: str
    height: int
    width: int


@with_config(_OPEN)
class CocoAnnotation(TypedDict):
    """One object: `bbox` is x, y, width, height in pixels; `area` is in pixels."""

    id: int
    image_id: int
    category_id: int
    bbox: NotRequired[_Many[float]]
    area: NotRequired[float]
    iscrowd: NotRequired[int]
    segmentation: NotRequired[Rle | _Many[_Many[float]]]
    score: NotRequired[float]


@with_config(_OPEN)
class CocoCategory(TypedDict):
    """One class."""

    id: int
    name: str
    supercategory: NotRequired[str]


@with_config(_OPEN)
class CocoDataset(TypedDict):
    """A whole file."""

    info: NotRequired[dict[str, Any]]
    licenses: NotRequired[list[Any]]
    images: _Many[CocoImage]
    annotations: _Many[CocoAnnotation]
    categories: _Many[CocoCategory]


@cache
def _dataset() -> Any:
    """Checks a file; made when one is first read, since making it takes its time."""
    return TypeAdapter(CocoDataset)


def coco_image_record(annotation: Annotation, *, image_id: int) -> CocoImage:
    """Give the entry for the list of images."""
    height, width = annotation.size
    return {"id": image_id, "file_name": annotation.file_name, "height": height, "width": width}


def coco_annotations(
    annotation: Annotation,
    *,
    image_id: int,
    first_id: int,
    style: CocoStyle = "rle",
    instances: Instances = "components",
    min_area: int = 1,
    tolerance: float = 0.0,
) -> list[CocoAnnotation]:
    """Give the entries for the list of annotations.

    Args:
        annotation: Its mask's objects are written, or its boxes where it has no mask.
        image_id: Number of the image.
        first_id: Number of the first annotation; the others follow.
        style: How regions are written.
        instances: One object a connected component, or one a class.
        min_area: Components of fewer pixels are left out.
        tolerance: Pixels by which a polygon may be off to save points; 0 is exact.

    Returns:
        Entries by class, then in reading order; none for an empty mask.
    """
    if style not in ("rle", "uncompressed_rle", "polygon"):
        raise ExportError(f"style: got {style!r}, expected 'rle', 'uncompressed_rle' or 'polygon'")
    boxes = clipped_boxes(annotation) if annotation.mask is None else ()
    found = [_entry(box.label, box.box, score=box.score) for box in boxes]
    for region in find_regions(
        annotation,
        instances=instances,
        min_area=min_area,
        polygons=style == "polygon",
        tolerance=tolerance,
    ):
        entry = _entry(region.label, region.box, score=region.score)
        entry["area"] = float(len(region.pixels))
        if style == "polygon":
            entry["segmentation"] = [path.ravel().tolist() for path in region.polygons]
        else:
            compress = style == "rle"
            entry["segmentation"] = pixels_to_rle(region.pixels, annotation.size, compress=compress)
        found.append(entry)
    for number, entry in enumerate(found, start=first_id):
        entry["id"], entry["image_id"] = number, image_id
    return found


def _entry(
    label: int, box: tuple[float, float, float, float], *, score: float | None
) -> CocoAnnotation:
    """Give an entry whose numbers are still to be filled in."""
    x0, y0, x1, y1 = box
    entry: CocoAnnotation = {
        "id": 0,
        "image_id": 0,
        "category_id": label,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "iscrowd": 0,
        "segmentation": [],
    }
    if score is not None:
        entry["score"] = score
    return entry


def coco_dataset(
    records: Iterable[tuple[CocoImage, Sequence[CocoAnnotation]]],
    *,
    classes: Sequence[str],
    info: Mapping[str, Any] | None = None,
) -> CocoDataset:
    """Put the records of all images together.

    Args:
        records: For each image its entry and those of its annotations.
        classes: Names of class 1 and up.
        info: Free text about the dataset: description, version, date and so on.
    """
    names = check_classes(classes)
    pairs = list(records)
    return {
        "info": dict(info) if info is not None else {"description": "Answers written by vicl"},
        "licenses": [],
        "images": [image for image, _ in pairs],
        "annotations": [entry for _, entries in pairs for entry in entries],
        "categories": [
            {"id": number, "name": name, "supercategory": ""}
            for number, name in enumerate(names, start=1)
        ],
    }


def write_coco(path: str | os.PathLike[str], dataset: CocoDataset) -> None:
    """Write a dataset as JSON, whole or not at all. An existing file is replaced.

    Text beyond ASCII is escaped, so that readers get it right whatever encoding they assume.
    """
    write_atomic(path, json.dumps(dataset, allow_nan=False, separators=(",", ":")).encode("ascii"))


def read_coco(path: str | os.PathLike[str]) -> CocoDataset:
    """Read and check a COCO instances file, by any writer; what else it holds is kept.

    Raises:
        ExportError: If it cannot be read, is no such JSON, names an image or a category that it
            does not have, or has run lengths of another size than their image.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ExportError(f"{display(path)}: cannot be read ({reason(error)})") from error
    return _checked(_dataset().validate_json, data, display(path))


def check_coco(document: Any, name: str) -> CocoDataset:
    """Check JSON that was parsed, as :func:`read_coco` does.

    Args:
        document: What the file holds, or some of its entries.
        name: What messages call it.

    Raises:
        ExportError: As :func:`read_coco`.
    """
    return _checked(_dataset().validate_python, document, name)


def _checked(validate: Callable[[Any], Any], given: Any, name: str) -> CocoDataset:
    try:
        dataset: CocoDataset = validate(given)
    except ValidationError as error:
        raise ExportError(
            f"{name}: is no COCO instances file: {said(error)}; expected JSON with the lists "
            "images, annotations and categories"
        ) from error
    fault = _find_fault(dataset)
    if fault:
        raise ExportError(f"{name}: {fault}")
    return dataset


def _find_fault(dataset: CocoDataset) -> str | None:
    """Check what joins the lists to one another."""
    images = {image["id"]: image for image in dataset["images"]}
    categories = {category["id"] for category in dataset["categories"]}
    numbers = {entry["id"] for entry in dataset["annotations"]}
    for what, distinct, total in (
        ("images", len(images), len(dataset["images"])),
        ("categories", len(categories), len(dataset["categories"])),
        ("annotations", len(numbers), len(dataset["annotations"])),
    ):
        if distinct < total:
            return f"{what}: {total} entries share {distinct} ids, expected an id of its own each"
    for entry in dataset["annotations"]:
        where = f"annotation {entry['id']}"
        if entry["image_id"] not in images:
            return f"{where}: image_id {entry['image_id']} is not among the images"
        if entry["category_id"] not in categories:
            return f"{where}: category_id {entry['category_id']} is not among the categories"
        box = entry.get("bbox", [0, 0, 0, 0])
        if len(box) != 4:
            return f"{where}: bbox has {len(box)} numbers, expected x, y, width, height"
        image = images[entry["image_id"]]
        shape = entry.get("segmentation")
        if isinstance(shape, dict) and shape["size"] != [image["height"], image["width"]]:
            return (
                f"{where}: segmentation has size {shape['size']}, expected that of its image, "
                f"[{image['height']}, {image['width']}]"
            )
    return None
