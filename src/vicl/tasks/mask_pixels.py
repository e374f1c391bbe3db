"""From whatever a person has as a mask to numbers or colours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Integer, UInt8
from PIL import Image
from torch import Tensor

from vicl.images import open_image
from vicl.images.modes import stored_levels
from vicl.tasks.labels import MaskError, levels

_NUMBERS = "biuf"
"""Kinds of NumPy's types that a mask may have: truth values, integers, floats."""

_EXPECTED = (
    "expected a path, a PIL image, an (h, w) array or tensor of bool, integers or floats in "
    "[0, 1], a list of such rows, or (h, w, 3) of uint8"
)


@dataclass(frozen=True, eq=False)
class Pixels:
    """A mask's pixels before they mean anything; a palette image has both kinds.

    Attributes:
        values: Gray levels, index values or truth values, (h, w).
        colours: RGB or RGBA in 0 to 255, (h, w, 3 or 4).
        fractions: Whether the values are 255ths of floats in [0, 1].
        palette: Of a palette image, the RGB of each index value, black where it lists none.
        lossy: Whether they are of a JPEG, which changes values.
    """

    values: Integer[np.ndarray, "h w"] | None = None
    colours: UInt8[np.ndarray, "h w c"] | None = None
    fractions: bool = False
    palette: UInt8[np.ndarray, "256 3"] | None = None
    lossy: bool = False


def as_array(mask: Any, where: str) -> np.ndarray | Image.Image | str | os.PathLike[str]:
    """Turn tensors, lists of lists and what else holds numbers into an array; files stay.

    Axes of length 1 before the last two are dropped, as is a last one.

    Raises:
        MaskError: If it is nothing of that kind.
    """
    if isinstance(mask, str | os.PathLike | Image.Image):
        return mask
    array: np.ndarray
    if isinstance(mask, Tensor):
        mask = mask.detach().cpu()
        # NumPy has no bfloat16.
        array = (mask.float() if mask.is_floating_point() else mask).numpy()
    elif isinstance(mask, Sequence) and not isinstance(mask, bytes):
        rows = [np.asarray(row.detach().cpu() if isinstance(row, Tensor) else row) for row in mask]
        if len({row.shape for row in rows}) != 1 or rows[0].dtype.kind not in _NUMBERS:
            raise MaskError(
                f"{where}: got a list of {len(rows)} that are not rows of numbers of one length, "
                f"{_EXPECTED}"
            )
        array = np.stack(rows)
    elif hasattr(mask, "__array__"):
        array = np.asarray(mask)
    else:
        raise MaskError(f"{where}: got {type(mask).__name__}, {_EXPECTED}")
    if array.dtype.kind not in _NUMBERS:
        raise MaskError(
            f"{where}: got an array of shape {array.shape} and type {array.dtype}, {_EXPECTED}"
        )
    while array.ndim > 2 and array.shape[0] == 1 and not _is_picture(array):
        array = array[0]
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def read_pixels(
    mask: np.ndarray | Image.Image | str | os.PathLike[str], where: str, limit_pixels: int
) -> Pixels:
    """Read a file, or check an array.

    Args:
        mask: As :func:`as_array` gives it.
        where: What messages call it.
        limit_pixels: Of a file; see :func:`vicl.images.open_image`.

    Raises:
        MaskError: If an array has another shape, type or range.
        vicl.images.ImageError: If a file cannot be opened.
    """
    if not isinstance(mask, np.ndarray):
        return _of_image(open_image(mask, limit_pixels=limit_pixels), where)
    if mask.ndim == 3 and mask.shape[0] == 3 and not _is_picture(mask) and mask.size:
        mask = _channels_last(mask, where)
    if _is_picture(mask):
        return Pixels(colours=mask)
    if mask.ndim == 2 and mask.size:
        return _numbers(mask, where)
    raise MaskError(
        f"{where}: got an array of shape {mask.shape} and type {mask.dtype}, {_EXPECTED}"
    )


def _is_picture(array: np.ndarray) -> bool:
    """Whether an array is (h, w, 3 or 4) of uint8, with pixels in it."""
    channels = array.shape[2:]
    return bool(channels in ((3,), (4,)) and array.size and array.dtype == np.uint8)


def _channels_last(array: np.ndarray, where: str) -> np.ndarray:
    """(3, h, w) of floats in [0, 1] or of uint8 as (h, w, 3) of uint8; others as they are."""
    if array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):  # NaN fails too
            raise MaskError(
                f"{where}: is a (3, h, w) picture of floats from {array.min():g} to "
                f"{array.max():g}, expected [0, 1]; divide it by its white value"
            )
        array = np.rint(array * 255).astype(np.uint8)
    return array.transpose(1, 2, 0)


def _numbers(array: np.ndarray, where: str) -> Pixels:
    """Whole numbers as they are, and fractions in 255ths."""
    if array.dtype.kind != "f":
        least, most = int(array.min()), int(array.max())
        if least < 0 or most >= 1 << 31:
            raise MaskError(
                f"{where}: has values from {least} to {most}, expected class numbers from 0; mark "
                "pixels to be ignored with 255 (in NumPy: np.where(mask < 0, 255, mask))"
            )
        return Pixels(values=_narrow(array))
    if not np.isfinite(array).all():
        raise MaskError(
            f"{where}: holds NaN or infinities; write numbers there, 255 for pixels to be ignored "
            "or 0 for the background (np.nan_to_num(mask))"
        )
    low, high = float(array.min()), float(array.max())
    if low >= 0 and high < 1 << 31 and np.array_equal(array, np.rint(array)):
        return Pixels(values=array.astype(np.int32))
    if low < 0 or high > 1:
        raise MaskError(
            f"{where}: has float values from {low:g} to {high:g}: a float mask holds class "
            "numbers (whole, from 0), or must lie in [0, 1]; divide it by its largest value, turn "
            "logits into probabilities, or cut it where the object begins (mask >= value)"
        )
    return Pixels(values=np.rint(array.astype(np.float64) * 255).astype(np.int32), fractions=True)


def _narrow(array: np.ndarray) -> np.ndarray:
    """Whole numbers in the bytes that they came in, where these are few."""
    if array.dtype == np.bool_:
        # Not as a view: Pillow's truth is stored as 255.
        return np.where(array, np.uint8(1), np.uint8(0))
    return array if array.dtype in (np.uint8, np.uint16) else array.astype(np.int32)


def _of_image(image: Image.Image, where: str) -> Pixels:
    if image.mode == "P":
        indices = stored_levels(image)
        listed = np.asarray(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(listed)] = listed
        clear = "transparency" in image.info
        colours = np.asarray(image.convert("RGBA")) if clear else palette[indices]
        return Pixels(values=indices, colours=colours, palette=palette)
    if image.mode == "L":
        return Pixels(values=stored_levels(image), lossy=image.format == "JPEG")
    if image.mode in ("1", "I", "F") or image.mode.startswith("I;16"):
        return _numbers(np.asarray(image), where)
    if image.mode in ("La", "RGBa"):  # premultiplied
        image = image.convert(image.mode.upper())
    return Pixels(
        colours=np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB")),
        lossy=image.format == "JPEG",
    )


def palette_used(pixels: Pixels) -> tuple[Int[np.ndarray, " n"], UInt8[np.ndarray, "n 3"]]:
    """The index values that a palette image uses, and their colours."""
    assert pixels.values is not None
    assert pixels.palette is not None
    used, _ = levels(pixels.values)
    return used, pixels.palette[used]
