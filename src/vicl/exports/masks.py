"""Masks as PNG files, and the label map that says what their numbers mean."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from vicl.exports.annotation import ExportError, check_classes, check_mask_values
from vicl.files import display, write_atomic
from vicl.images import save_image
from vicl.tasks.palette import Colour, palette

LABEL_MAP = "labels.json"


def mask_image(
    mask: UInt8[np.ndarray, "h w"] | Bool[np.ndarray, "h w"],
    *,
    classes: Sequence[str],
    colours: Sequence[Colour] | None = None,
) -> Image.Image:
    """Give a mask as a PIL image.

    Args:
        mask: Class of each pixel, 0 is the background; boolean for one class.
        classes: Names of class 1 and up.
        colours: RGB of class 1 and up; default :func:`palette`. One class alone is always white.

    Returns:
        Mode L with 0 and 255 for one class; mode P for several: numbers are classes, in 8 bits.

    Raises:
        ExportError: If the mask holds other classes or the colours do not match the classes.
    """
    names = check_classes(classes)
    indices = mask.astype(np.uint8)
    check_mask_values("mask", indices, len(names))
    chosen = palette(len(names)) if colours is None else tuple(colours)
    if len(chosen) != len(names):
        raise ExportError(f"colours: got {len(chosen)}, expected one for each of {list(names)}")
    if any(len(rgb) != 3 or not all(0 <= value <= 255 for value in rgb) for rgb in chosen):
        raise ExportError(f"colours: got {chosen}, expected (red, green, blue) in 0 to 255 each")
    if len(names) == 1:
        return Image.fromarray(indices * np.uint8(255))
    image = Image.fromarray(indices)
    # Filled up to 256 colours, so that the PNG has 8 bits a pixel with any number of classes.
    values = [value for rgb in ((0, 0, 0), *chosen) for value in rgb]
    image.putpalette(values + [0] * (3 * 256 - len(values)))
    return image


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


def write_label_map(folder: str | os.PathLike[str], classes: Sequence[str]) -> Path:
    """Write ``labels.json`` beside a folder's masks: what each number in them means.

    For several classes ``{"0": "background", "1": "leaf", "2": "stem"}``; for one, whose mask is
    binary, ``{"0": "background", "255": "leaf"}``.

    Args:
        folder: Where the masks are.
        classes: Names of class 1 and up.

    Returns:
        The file's path.

    Raises:
        ExportError: If the folder has a label map that says something else: its masks would then
            be read wrongly.
    """
    checked = check_classes(classes)
    values = range(1, len(checked) + 1) if len(checked) > 1 else (255,)
    names = {"0": "background"} | dict(zip(map(str, values), checked, strict=True))
    data = (json.dumps(names, ensure_ascii=False, indent=2) + "\n").encode("utf-8")
    path = Path(folder) / LABEL_MAP
    if path.exists():
        try:
            same = json.loads(path.read_bytes()) == names
        except (OSError, ValueError):
            same = False
        if not same:
            raise ExportError(
                f"{display(path)}: exists with other classes than {list(checked)}; "
                "write to another folder, or remove it if the masks beside it are not needed"
            )
        return path
    write_atomic(path, data)
    return path
