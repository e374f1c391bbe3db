"""Reading one item: its photograph, and its annotation drawn as an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor

from vicl.evaluation.datasets.matlab import read_boundaries
from vicl.evaluation.episodes import Bounds, DatasetError, Item, is_inside
from vicl.files import display
from vicl.images import ImageError, open_image, to_rgb, to_tensor
from vicl.metrics.edges import thin
from vicl.prompt import Example
from vicl.tasks import ColorizationTask, DetectionTask, SegmentationTask, TaskName
from vicl.tasks.boxes import component_boxes, whole_pixels
from vicl.tasks.masks import Classes, read_labels

Crop = int | Literal["square"] | None
"""What is shown of a photograph: a square of so many pixels at its centre (black where it is
smaller), the largest square at its centre, or all of it."""

ONE_CLASS = Classes.parse(None)
"""What an item marks: one thing, whatever it is called."""

PUBLISHED_CROP = 111
"""Side of the square that the published colorization shows of a photograph, in pixels."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """An item as an example shows it, and what scoring needs besides.

    Attributes:
        image: RGB in [0, 1].
        output: The annotation drawn, likewise.
        void: True where nobody labelled the pixel; None for nowhere.
        annotators: Edges: one map each, True on lines.
        boxes: Detection.
    """

    image: Float[Tensor, "3 h w"]
    output: Float[Tensor, "3 h w"]
    void: Bool[np.ndarray, "h w"] | None = None
    annotators: Bool[np.ndarray, "a h w"] | None = None
    boxes: tuple[Bounds, ...] = ()


def draw(root: Path, item: Item, task: TaskName, *, void: int | None, crop: Crop) -> Drawn:
    """Read an item's files and draw its annotation.

    Args:
        root: The dataset's folder; what leads out of it is not read.
        item: With the annotation that the task needs.
        task: What the item is an example of.
        void: Value of mask pixels to leave out of scores; None if they are background.
        crop: What is shown of photographs to be colorized.

    Raises:
        ValueError: If a file is missing, broken or of another size than its image; it names it.
    """
    photo = to_tensor(locate(root, item.image))
    if task == "segmentation":
        drawn = _segmentation(root, item, photo, void)
    elif task == "detection":
        drawn = _detection(root, item, photo)
    elif task == "edges":
        drawn = _edges(root, item, photo)
    elif task == "image":
        path = locate(root, _one(item))
        output = to_tensor(path)
        _check_size(path, tuple(output.shape[1:]), item, photo)
        drawn = Drawn(photo, output)
    else:
        colour = photo if crop is None else centre(photo, crop)
        drawn = Drawn(ColorizationTask().draw_query(colour), colour)
    return drawn


def locate(root: Path, name: str) -> Path:
    """Find a file of a dataset.

    Raises:
        DatasetError: If it is not there, or not inside the dataset's folder.
    """
    path = (root / name).resolve()
    if not is_inside(name) or not path.is_relative_to(root.resolve()):
        raise DatasetError(
            f"{display(name)}: leads out of the dataset's folder {display(root)}, from which alone "
            "files are read; put the files themselves there, no links"
        )
    if not path.is_file():
        raise DatasetError(
            f"no file {display(root / name)}, which the dataset (or listing) names: the dataset's "
            "folder is incomplete, or not the one that the listing was made from"
        )
    return path


def centre(photo: Float[Tensor, "3 h w"], side: int | Literal["square"]) -> Float[Tensor, "3 s s"]:
    """Cut a square out of a photograph's middle, black where the photograph ends before it."""
    height, width = photo.shape[1:]
    length = min(height, width) if side == "square" else side
    top, left = round((height - length) / 2), round((width - length) / 2)
    square = torch.zeros(3, length, length)
    part = photo[:, max(0, top) : top + length, max(0, left) : left + length]
    down, across = max(0, -top), max(0, -left)
    square[:, down : down + part.shape[1], across : across + part.shape[2]] = part
    return square


def is_gray(root: Path, name: str) -> bool:
    """Whether a photograph has practically no colour: nothing to learn for colorization.

    That is, if the brightest and the darkest channel differ by under 3 of 255 on average. The
    noise of a JPEG reaches 1 or so; photographs with little colour have 4 and more. Of one that
    cannot be read nobody knows: it counts as coloured, and its episode will say what is wrong.

    Args:
        root: The dataset's folder.
        name: Of the file in it.
    """
    try:
        small = _open(locate(root, name))
    except DatasetError:
        return False
    small.thumbnail((128, 128), Image.Resampling.BOX)
    channels = np.asarray(to_rgb(small), dtype=np.int16)
    return bool((channels.max(axis=2) - channels.min(axis=2)).mean() < 3)


def read_values(path: Path) -> Int[np.ndarray, "h w"]:
    """Read a picture of class values.

    Raises:
        DatasetError: If it cannot be read, or has several channels.
    """
    picture = _open(path)
    # Of a palette picture, as VOC's are, the indices are the values.
    values = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    if values.ndim != 2 or values.dtype.kind not in "iu":
        raise DatasetError(
            f"{display(path)}: got mode {picture.mode}, expected a single-channel picture of class "
            "values"
        )
    return values.astype(np.int32)


def _open(path: Path) -> Image.Image:
    try:
        return open_image(path)
    except ImageError as error:
        raise DatasetError(str(error)) from error


def _one(item: Item) -> str:
    if len(item.target) != 1:
        raise DatasetError(f"{item.image}: got {len(item.target)} annotation files, expected one")
    return item.target[0]


def _marked(
    root: Path, item: Item, photo: Tensor, void: int | None
) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """What an item's mask marks, and what it leaves open (nothing, if there is no void)."""
    path, value = locate(root, _one(item)), item.value
    if value is None:
        read = read_labels(path, ONE_CLASS)
        mask, unknown = read.labels > 0, read.void & (void is not None)
    else:
        values = read_values(path)
        mask, unknown = values == value, (values == void) & (void not in (None, value))
    _check_size(path, mask.shape, item, photo)
    return mask, unknown


def _segmentation(root: Path, item: Item, photo: Tensor, void: int | None) -> Drawn:
    mask, unknown = _marked(root, item, photo, void)
    (output,) = SegmentationTask(ONE_CLASS).draw_labels(mask.astype(np.uint8))
    return Drawn(photo, output, void=unknown if unknown.any() else None)


def _detection(root: Path, item: Item, photo: Tensor) -> Drawn:
    boxes = item.boxes
    if not boxes:  # those of a mask
        mask, _ = _marked(root, item, photo, None)
        found = component_boxes(mask.astype(np.uint8), (mask.shape[0], mask.shape[1]))
        boxes = tuple(one.box for one in found)
    output = DetectionTask(ONE_CLASS).draw(Example(photo, boxes))[0].output
    # As they are drawn, so that whoever draws the same has the same box.
    size = (photo.shape[1], photo.shape[2])
    whole = tuple(whole_pixels(box, size) for box in boxes)
    return Drawn(photo, to_tensor(output), boxes=whole)


def _edges(root: Path, item: Item, photo: Tensor) -> Drawn:
    if not item.target:
        raise DatasetError(f"{item.image}: has no edge map; expected at least one")
    maps = _maps(root, item)
    for index, soft in enumerate(maps):
        name = item.target[min(index, len(item.target) - 1)]  # one .mat file holds several
        _check_size(root / name, soft.shape, item, photo)
    mean = torch.from_numpy(np.mean(maps, axis=0, dtype=np.float64).astype(np.float32))
    lines = np.stack([_lines(soft) for soft in maps])
    return Drawn(photo, mean.expand(3, -1, -1).contiguous(), annotators=lines)


def _maps(root: Path, item: Item) -> list[Float[np.ndarray, "h w"]]:
    """One map per annotator, in [0, 1]."""
    if len(item.target) == 1 and item.target[0].endswith(".mat"):
        return [lines.astype(np.float32) for lines in read_boundaries(locate(root, item.target[0]))]
    pictures = [to_rgb(_open(locate(root, name))).convert("L") for name in item.target]
    return [np.asarray(picture, dtype=np.float32) / 255 for picture in pictures]


def _lines(soft: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Where a map has its lines: what is not 0, or the crests of a map with shades."""
    if len(np.unique(soft)) <= 2:
        return np.asarray(soft > 0)
    crests = thin(soft)
    return np.asarray(crests >= 0.5 * crests.max())


def _check_size(path: Path, size: tuple[int, ...], item: Item, photo: Tensor) -> None:
    if size != tuple(photo.shape[1:]):
        raise DatasetError(
            f"{display(path)}: got {size} (height, width), expected that of its image "
            f"{display(item.image)}, {tuple(photo.shape[1:])}"
        )
