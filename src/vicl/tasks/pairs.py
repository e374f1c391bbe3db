"""An example as a pair: whether its annotation can belong to its photograph."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from vicl.images import ImageError, stored_turn, to_levels
from vicl.prompt import Example
from vicl.tasks.classes import Classes
from vicl.tasks.labels import Labels, MaskError, looks_inverted, looks_photographic, mask_name
from vicl.tasks.masks import read_labels

log = logging.getLogger(__name__)


def read_pair(
    example: Example,
    size: tuple[int, int],
    marks: Classes,
    task: str,
    *,
    limit_pixels: int,
) -> Labels:
    """Read the mask of an example, and refuse what cannot be a mask of its photograph.

    What is only unlikely is logged as a warning: a mask without named values or colours that marks
    most of the picture and its border, or all of it.

    Args:
        example: Input and mask; see :mod:`vicl.tasks.masks`.
        size: (height, width) of the input.
        marks: The classes.
        task: What messages call it.
        limit_pixels: Of a file.

    Raises:
        ValueError: If the mask cannot be read, is the input itself, stands in the input's place,
            or shows another frame.
    """
    check_two(example, task)
    try:
        labels = read_labels(example.output, marks, limit_pixels=limit_pixels)
    except MaskError as error:
        if _is_swapped(example, limit_pixels):
            raise MaskError(
                f"{task}: the example's input {_named(example.input)} has two values, as a mask "
                f"has, and its output {_named(example.output)} looks like a photograph: are they "
                "swapped? An example is the photograph first, then its mask (command line: "
                "--example IN OUT)"
            ) from error
        raise
    check_frame(size, labels.labels.shape, task, example)
    if not labels.void.any():
        _warn_of(labels.labels, example.output, marks)
    return labels


def check_two(example: Example, task: str) -> None:
    """Refuse an annotation that is the input itself.

    Raises:
        MaskError: If both are one file or one object.
    """
    first, second = example.input, example.output
    same = first is second
    if isinstance(first, str | os.PathLike) and isinstance(second, str | os.PathLike):
        same = os.path.realpath(first) == os.path.realpath(second)
    if same:
        raise MaskError(
            f"{task}: the example's input and output are the same, {_named(first)}; give the "
            "photograph first, then what it is to be turned into (command line: --example IN OUT)"
        )


def check_frame(
    size: tuple[int, int], output: tuple[int, ...], task: str, example: Example
) -> None:
    """An annotation may have another resolution than its image, but not another shape.

    Args:
        size: (height, width) of the example's input.
        output: (height, width) of its annotation.
        task: What messages call it.
        example: Says which files they are.

    Raises:
        ValueError: If the two cannot show the same frame.
    """
    (h, w), (oh, ow) = size, output
    turned = (oh, ow) == (w, h) and abs(h - w) > 1
    if same_frame((h, w), (oh, ow)) and not turned:
        return
    sizes = (
        f"{task}: the example's input {_named(example.input)} is {w}x{h} and its output "
        f"{_named(example.output)} {ow}x{oh} pixels (width x height)"
    )
    if not turned and not same_frame((w, h), (oh, ow)):
        raise MaskError(
            f"{sizes}: they do not show the same frame; give an output of the input's shape"
        )
    first = example.input
    stored = stored_turn(first) if isinstance(first, str | os.PathLike) else None
    if stored is None:
        raise MaskError(
            f"{sizes}: the sides are swapped, so one of them lies on its side; turn it by 90 "
            "degrees (in Python: Image.open(file).transpose(Image.Transpose.ROTATE_90), or "
            "ROTATE_270), or give an output of the input's shape"
        )
    raise MaskError(
        f"{sizes}: the sides are swapped. The photograph's EXIF data say how it is turned, which "
        "vicl and most viewers follow; the mask was made by a tool that does not. Turn the mask "
        f"likewise: Image.open(mask).transpose(Image.Transpose.{stored.name}).save(new) in "
        "Python, or in an image editor, and give that as OUT; or save the photograph without its "
        "EXIF orientation"
    )


def same_frame(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes are of one shape, but for rounding."""
    (h, w), (oh, ow) = size, other
    return abs(h * ow - w * oh) <= 0.02 * max(h * ow, w * oh) + max(h, w, oh, ow)


def _is_swapped(example: Example, limit_pixels: int) -> bool:
    """Whether the input has the values of a mask and the output is a picture."""
    output = example.output
    if not isinstance(output, str | os.PathLike | Image.Image | np.ndarray):
        return False
    levels = to_levels(example.input, limit_pixels=limit_pixels)
    packed = levels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    first = packed == packed[0, 0]
    rest = packed[~first]
    return bool(rest.size and (rest == rest[0]).all() and _is_photograph(output, limit_pixels))


def _is_photograph(image: Any, limit_pixels: int) -> bool:
    try:
        return looks_photographic(to_levels(image, limit_pixels=limit_pixels))
    except ImageError:
        return False  # such as an array of other numbers


def _warn_of(labels: UInt8[np.ndarray, "h w"], output: Any, marks: Classes) -> None:
    """Say where it was guessed what is marked, and looks the wrong way round."""
    if isinstance(output, Mapping):
        masks: dict[str, Bool[np.ndarray, "h w"]] = {
            f"{mask_name(output[name])} of {name!r}": labels == marks.names.index(name) + 1
            for name in output
        }
    elif len(marks) == 1 and marks.keys[0] is None:
        masks = {mask_name(output): labels > 0}
    else:
        return  # what marks a class was said
    for where, marked in masks.items():
        if marked.all():
            log.warning(
                "%s: marks the whole picture, so nothing is left as background: is it inverted, or "
                "empty? Mark the object alone (white on black); if it does fill the picture, give "
                "another example beside it that shows background",
                where,
            )
        elif looks_inverted(marked):
            log.warning(
                "%s: marks %.0f%% of the picture and its whole border: is it inverted? If so, "
                "invert it (in Python 255 - mask or ~mask), or say that black is the object with "
                "classes={'name': '#000000'} (command line: --classes name=#000000)",
                where,
                100 * marked.mean(),
            )


def _named(image: Any) -> str:
    """A file's name, or what kind of thing it is."""
    if isinstance(image, str | os.PathLike):
        return repr(os.fspath(image))
    return f"({type(image).__name__})"
