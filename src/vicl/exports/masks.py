"""Masks as PNG files, and the label map that says what their numbers mean."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image

from vicl.exports.annotation import ExportError, check_classes, check_mask_values
from vicl.exports.answers import Answer
from vicl.exports.companions import write_companions
from vicl.files import display
from vicl.images import save_image
from vicl.tasks.masks import Classes
from vicl.tasks.palette import Colour, palette

LABEL_MAP = "labels.json"

Values = Literal["named", "1..n"]
"""Which numbers a mask's classes are written as: those that the user named, or 1 to n."""


def mask_image(
    mask: UInt8[np.ndarray, "h w"] | Bool[np.ndarray, "h w"],
    *,
    classes: Sequence[str],
    colours: Sequence[Colour] | None = None,
    values: Sequence[int] | None = None,
) -> Image.Image:
    """Give a mask as a PIL image.

    Args:
        mask: Class of each pixel, 0 is the background; boolean for one class.
        classes: Names of class 1 and up.
        colours: RGB of class 1 and up; default :func:`palette`.
        values: What stands for class 1 and up in the file, 1 to 65535; default 1, 2, ...

    Returns:
        Mode L with 0 and 255 for one class without colour and value; mode P for others: the numbers
        are the values, in 8 bits; mode I;16 where a value is over 255.

    Raises:
        ExportError: If the mask holds other classes, or colours or values do not match the classes.
    """
    names = check_classes(classes)
    indices = np.asarray(mask, np.uint8)
    check_mask_values("mask", indices, len(names))
    chosen = palette(len(names)) if colours is None else tuple(colours)
    numbers = tuple(range(1, len(names) + 1)) if values is None else tuple(values)
    for what, given in (("colours", chosen), ("values", numbers)):
        if len(given) != len(names):
            raise ExportError(f"{what}: got {len(given)}, expected one for each of {list(names)}")
    if any(len(rgb) != 3 or not all(0 <= value <= 255 for value in rgb) for rgb in chosen):
        raise ExportError(f"colours: got {chosen}, expected (red, green, blue) in 0 to 255 each")
    if len(set(numbers)) < len(numbers) or not all(0 < value < 65536 for value in numbers):
        raise ExportError(f"values: got {numbers}, expected each once, from 1 to 65535")
    if len(names) == 1 and colours is None and values is None:
        return Image.fromarray(indices * np.uint8(255))
    if max(numbers) > 255:
        return Image.fromarray(np.array([0, *numbers], np.uint16)[indices])
    # A tenth of the time of numpy's indexing, which shows at 64 megapixels.
    image = Image.fromarray(indices).point([0, *numbers] + [0] * (255 - len(numbers)))
    # Filled up to 256 colours, so that the PNG has 8 bits a pixel with any number of classes.
    shown = np.zeros((256, 3), np.uint8)
    shown[list(numbers)] = chosen
    image.putpalette(shown.ravel().tolist())
    return image


def objects_image(objects: Int[np.ndarray, "h w"]) -> Image.Image:
    """Numbers of objects as a gray PIL image: 8 bits, or 16 where there are more than 255.

    Raises:
        ExportError: If there are more than 65535.
    """
    most = int(objects.max(initial=0))
    if most > 65535:
        raise ExportError(f"objects: got {most}, expected at most 65535 in one picture")
    return Image.fromarray(objects.astype(np.uint8 if most < 256 else np.uint16))


def named_image(
    mask: UInt8[np.ndarray, "h w"], marks: Classes, *, values: Values = "named"
) -> Image.Image:
    """Give a mask in the values or the colours that its classes were named by.

    Args:
        mask: Class of each pixel, 0 is the background.
        marks: The classes, and what was said to mark each.
        values: "named", or "1..n" for the classes' numbers whatever was said.
    """
    keys = marks.keys if values == "named" else ()
    numbers = [key for key in keys if isinstance(key, int)]
    colours = [key for key in keys if isinstance(key, tuple)]
    every = len(marks.names)
    counted = values != "named" and any(key is not None for key in marks.keys)
    return mask_image(
        mask,
        classes=marks.names,
        colours=colours if len(colours) == every else None,
        values=numbers if len(numbers) == every else range(1, every + 1) if counted else None,
    )


def answer_picture(
    answer: Answer, marks: Classes | None, *, values: Values = "named"
) -> Image.Image:
    """An answer as the picture that is written: a mask by its classes' marks, all else as it is."""
    if answer.mask is None or marks is None:
        return answer.image
    return named_image(answer.mask, marks, values=values)


def is_flat(answer: Answer, picture: Image.Image) -> bool:
    """Whether an answer's picture is a black and white mask, which is written quicker."""
    return answer.mask is not None and picture.mode == "L"


def mask_png(
    mask: UInt8[np.ndarray, "h w"] | Bool[np.ndarray, "h w"],
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str],
    colours: Sequence[Colour] | None = None,
    inputs: Iterable[Any] = (),
) -> None:
    """Write a mask as PNG; see :func:`mask_image` for its kinds and for the arguments.

    `path` ends in ``.png``: other formats blur or lose the numbers. `inputs` are files that must
    not be overwritten.

    Raises:
        ValueError: If something does not fit; the message says what to do.
    """
    if Path(path).suffix.lower() != ".png":
        raise ExportError(f"{display(path)}: masks are written as PNG; give a name with .png")
    save_image(mask_image(mask, classes=classes, colours=colours), path, inputs=inputs)


def label_map(marks: Classes, *, values: Values = "named") -> dict[str, str]:
    """What each number in a folder's masks means, as :func:`named_image` writes them.

    For several classes ``{"0": "background", "1": "leaf", "2": "stem"}``, or with the values that
    were named; for one that was given none, ``{"0": "background", "255": "leaf"}``.
    """
    names = check_classes(marks.names)
    numbers = [*range(1, len(names) + 1)]
    if values == "named" and all(isinstance(key, int) for key in marks.keys):
        numbers = [key for key in marks.keys if isinstance(key, int)]
    elif len(names) == 1 and marks.keys[0] is None:
        numbers = [255]
    return {"0": "background"} | dict(zip(map(str, numbers), names, strict=True))


def write_label_map(folder: str | os.PathLike[str], classes: Sequence[str] | Classes) -> Path:
    """Write ``labels.json`` beside a folder's masks: see :func:`label_map`.

    Args:
        folder: Where the masks are.
        classes: Names of class 1 and up, or what marks them too.

    Returns:
        The file's path.

    Raises:
        ExportError: If the folder has a label map that says something else: its masks would then
            be read wrongly.
    """
    marks = classes if isinstance(classes, Classes) else Classes.parse(check_classes(classes))
    path = Path(folder) / LABEL_MAP
    write_companions({path: json_bytes(label_map(marks))})
    return path


def json_bytes(names: dict[str, str]) -> bytes:
    """As ``labels.json`` holds them."""
    return (json.dumps(names, ensure_ascii=False, indent=2) + "\n").encode("utf-8")
