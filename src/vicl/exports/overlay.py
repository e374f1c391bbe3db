"""An answer laid over its image, to be looked at: what is right, and what is to be corrected."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from vicl.exports.annotation import Annotation, ExportError, clipped_boxes
from vicl.images import ImageLike, to_pil, to_tensor
from vicl.tasks.palette import palette

_DIMMED = 0.55
"""Brightness of what is in no class."""
_TINT = 0.4
"""Share of the class's colour in its pixels."""
_LINE = 400
"""Pixels of the longer side for each pixel of an outline's width."""
_TOLD_APART = 16
"""Colours of objects, which repeat: neighbours have neighbouring numbers."""
_AT_ONCE = 1 << 22
"""Pixels that are worked on together, so that a large photograph costs little memory."""


def overlay(image: ImageLike, annotation: Annotation) -> Image.Image:
    """Draw an image with what was found in it.

    What is in no class is dimmed, each class is tinted by its colour (:func:`palette`) and outlined
    in it; of a single class whose objects are told apart, each object by a colour of its own.
    Boxes are drawn with their class, and with their score where they have one.

    Args:
        image: What was annotated.
        annotation: Its mask, its boxes, or both.

    Returns:
        Mode RGB, of the image's size.

    Raises:
        ExportError: If the annotation is of an image of another size.
        vicl.ImageError: If the image cannot be opened.
    """
    if isinstance(image, Image.Image) and image.mode == "RGB":
        picture = image.copy()
    else:
        picture = to_pil(to_tensor(image))
    height, width = annotation.size
    if picture.size != (width, height):
        raise ExportError(
            f"{annotation.file_name!r}: the image has {picture.width} x {picture.height} pixels, "
            f"expected those of its annotation, {width} x {height}"
        )
    line = max(1, round(max(height, width) / _LINE))
    colours = palette(len(annotation.classes))
    if annotation.mask is not None:
        labels, tints = annotation.mask, colours
        if annotation.objects is not None and len(annotation.classes) == 1:
            labels, tints = _by_object(annotation.objects), palette(_TOLD_APART)
        picture = Image.fromarray(_tinted(np.asarray(picture), labels, tints, line))
    if annotation.boxes:
        _draw_boxes(picture, annotation, colours, line)
    return picture


def _by_object(objects: Int[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Numbers of colours, which begin anew after the last."""
    return np.where(objects > 0, (objects - 1) % _TOLD_APART + 1, 0).astype(np.uint8)


def _tinted(
    rgb: UInt8[np.ndarray, "h w 3"],
    mask: UInt8[np.ndarray, "h w"],
    colours: tuple[tuple[int, int, int], ...],
    line: int,
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with its classes, computed in bands of rows."""
    table = np.array([(0, 0, 0), *colours], np.float32)
    height, width = mask.shape
    found = np.empty_like(rgb)
    rows = max(1, _AT_ONCE // width)
    for top, bottom in pairwise([*range(0, height, rows), height]):
        above, below = max(0, top - line), min(height, bottom + line)
        labels = mask[top:bottom]
        inside = labels > 0
        colour = table[labels]
        band = rgb[top:bottom] * np.where(inside, 1 - _TINT, _DIMMED).astype(np.float32)[..., None]
        band += _TINT * colour
        edge = _edges(mask[above:below], line)[top - above : bottom - above]
        band[edge] = colour[edge]
        found[top:bottom] = np.rint(band)
    return found


def _edges(mask: UInt8[np.ndarray, "h w"], line: int) -> Bool[np.ndarray, "h w"]:
    """Pixels of a class that are nearer than `line` to another class or the background."""
    from scipy import ndimage

    side = 2 * line + 1
    lowest = ndimage.minimum_filter(mask, side, mode="nearest")
    highest = ndimage.maximum_filter(mask, side, mode="nearest")
    edge: Bool[np.ndarray, "h w"] = (mask > 0) & (lowest != highest)
    return edge


def _draw_boxes(
    picture: Image.Image,
    annotation: Annotation,
    colours: tuple[tuple[int, int, int], ...],
    line: int,
) -> None:
    font = ImageFont.load_default(size=max(10, 8 * line))
    pen = ImageDraw.Draw(picture)
    for box in clipped_boxes(annotation):
        x0, y0, x1, y1 = (round(value) for value in box.box)
        colour = colours[box.label - 1]
        pen.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=line)
        score = "" if box.score == 1 else f" {box.score:.2f}"
        words = f"{annotation.classes[box.label - 1]}{score}"
        left, top, right, bottom = pen.textbbox((x0 + line, y0 + line), words, font=font)
        pen.rectangle((left, top, right, bottom), fill=colour)
        bright = sum(colour) > 3 * 127
        pen.text((x0 + line, y0 + line), words, font=font, fill="black" if bright else "white")
