"""Masks as people have them: one written table of rules, and an error where it is ambiguous.

| the mask | what is marked |
|---|---|
| bool array, 1-bit image | True |
| float values in [0, 1] | 0.5 and above, with a warning where the mask is soft; {0, v}: v |
| whole float values | as integers |
| gray or index values within {0, 1} | 1 |
| values within {0, 255} | 255 |
| {0, 1, 255}, 255 at most ten times as common as 1, or most of the mask | 1; 255 is void |
| {0, v} for one other value v | v |
| near 0 and near 255, between only JPEG noise and edges a few pixels wide | 128 and above |
| the same in 16 bits, black and white at 0 and 65535 | 32896 and above |
| several index values, `classes={"name": value, ...}` | the named values; 255 is void |
| several index values, `classes=["a", "b"]` | 1 is the first name, 2 the second ...; 255 is void |
| the same from a JPEG, with values beside those | an error: JPEG changes values |
| RGBA with a varying alpha (a cut-out) | the higher of two levels; of more, half of the highest |
| coloured, `classes={"name": "#rrggbb", ...}` | pixels near that colour, nearest first |
| coloured: black and one other colour | the other colour |
| one mask a class, `{"name": mask, ...}` | each by the rules above; a later one lies on top |
| n planes (n, h, w) for n classes, in their order | as one mask a class |
| anything else | an error that says what was found and how to say what is meant |

A mask without colours counts by its values, also where colours are named, unless one of those is
gray.  A palette image counts by its colours where colours are named and it has one of them, or
where all its colours are gray, black and white among them, and one class has no value; else by its
index values.  Void pixels belong to no class: nobody says what they are.  An engine that learns
from parts (`matching`) leaves them out, so that a few scribbles are enough; the others are shown
background there.

Three levels such as {0, 128, 255}, a soft matte, a negative value and a photograph are errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vicl.images import DEFAULT_LIMIT_PIXELS
from vicl.tasks.classes import VOID as VOID
from vicl.tasks.classes import Classes as Classes
from vicl.tasks.classes import ClassesLike as ClassesLike
from vicl.tasks.labels import Labels as Labels
from vicl.tasks.labels import MaskError as MaskError
from vicl.tasks.labels import mask_name
from vicl.tasks.mask_colours import colour_labels, is_gray, one_kind
from vicl.tasks.mask_pixels import Pixels, as_array, read_pixels
from vicl.tasks.mask_values import opaque, value_labels

_BINARY = Classes.parse(None)


def read_labels(mask: Any, classes: Classes, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Labels:
    """Read a mask by the table at the top of this module.

    Args:
        mask: Path, PIL image, (h, w), (1, h, w), (h, w, 1) or (h, w, 3 or 4) array or tensor,
            (3, h, w) float tensor, list of rows, (n, h, w) planes, or a mapping of class names to
            such masks; one that has been read comes back itself.
        classes: What the mask may hold.
        limit_pixels: Of a file; see :func:`vicl.images.open_image`.

    Raises:
        MaskError: If the mask is ambiguous or holds none of the classes.
        vicl.images.ImageError: If a file cannot be opened.
    """
    if isinstance(mask, Labels):
        return mask
    if isinstance(mask, Mapping):
        return _read_one_each(mask, classes, limit_pixels)
    where = mask_name(mask)
    data = as_array(mask, where)
    if isinstance(data, np.ndarray):
        planes = _planes(data, classes, where)
        if planes is not None:
            return _read_one_each(planes, classes, limit_pixels)
    return _by_rules(read_pixels(data, where, limit_pixels), classes, where)


def _by_rules(pixels: Pixels, classes: Classes, where: str) -> Labels:
    pixels = one_kind(pixels, classes, where)
    values, colours = pixels.values, pixels.colours
    if colours is not None:
        if colours.shape[2] == 4:
            cut_out = _cut_out(colours, classes, where)
            if cut_out is not None:
                return cut_out
            colours = colours[..., :3]
        if classes.has_gray or not is_gray(colours, classes):
            return colour_labels(colours, classes, where)
        values = _mean(colours)
    assert values is not None
    if classes.has_gray:
        return colour_labels(_as_gray(values), classes, where)
    return value_labels(values, classes, where, fractions=pixels.fractions, lossy=pixels.lossy)


def _mean(colours: np.ndarray) -> np.ndarray:
    """The rounded mean of three channels of 8 bits."""
    total = colours[..., 0].astype(np.uint16)
    total += colours[..., 1]
    total += colours[..., 2]
    return ((total + 1) // 3).astype(np.uint8)


def _as_gray(values: np.ndarray) -> np.ndarray:
    """Values as gray levels (h, w, 3): truth values black and white, 16 bits scaled to 8."""
    top = int(values.max())
    if top > 255 or top == 1:
        values = values.astype(np.int64) * 255 // max(top, 1)
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


def _planes(array: np.ndarray, classes: Classes, where: str) -> Mapping[str, np.ndarray] | None:
    """The planes of a stack, one a class; None if the array is no stack.

    Raises:
        MaskError: If there is another number of planes than of classes.
    """
    if array.ndim != 3 or not array.size:
        return None
    count = array.shape[0]
    pictured = array.shape[2] in (3, 4) and array.dtype == np.uint8
    if pictured:
        return None  # channels stand last
    if count == 3:  # a stack, or a picture with its channels first
        two_valued = bool(((array == 0) | (array == array.max())).all())
        stacked = len(classes) == 3 and two_valued and not classes.colours
        if not stacked and (array.dtype.kind == "f" or array.dtype == np.uint8):
            return None
    if count != len(classes):
        raise _stack_error(array, classes, where)
    return dict(zip(classes.names, array, strict=True))


def _stack_error(array: np.ndarray, classes: Classes, where: str) -> MaskError:
    hint = f"one plane for each of {list(classes.names)}, in that order, or (h, w) of class numbers"
    if array.shape[2] in (3, 4):
        hint = "a picture (h, w, 3) of uint8, or (h, w); from floats (mask * 255).astype(np.uint8)"
    elif len(classes) == 1:
        hint = "(h, w); to mark what any plane marks give mask.any(axis=0)"
    elif array.shape[0] == len(classes) + 1:
        hint += "; leave out the background's plane (mask[1:])"
    elif array.shape[2] == len(classes):
        hint += "; move the classes first (NumPy: mask.transpose(2, 0, 1))"
    return MaskError(f"{where}: got an array of shape {array.shape}, expected {hint}")


def _read_one_each(masks: Mapping[Any, Any], classes: Classes, limit_pixels: int) -> Labels:
    unknown = [name for name in masks if name not in classes.names]
    if unknown or not masks:
        raise MaskError(
            f"mask: got masks for {[str(name) for name in masks]}, expected classes among "
            f"{list(classes.names)}"
        )
    labels: np.ndarray | None = None
    void: np.ndarray | None = None
    for name, mask in masks.items():
        try:
            one = read_labels(mask, _BINARY, limit_pixels=limit_pixels)
        except MaskError as error:
            raise MaskError(f"class {name!r}: {error}") from error
        if labels is None or void is None:
            labels, void = np.zeros_like(one.labels), np.zeros_like(one.void)
        if one.labels.shape != labels.shape:
            raise MaskError(
                f"mask of {name!r}: got {one.labels.shape}, expected {labels.shape} as the others"
            )
        labels[one.labels > 0] = classes.names.index(name) + 1
        void |= one.void
    assert labels is not None
    assert void is not None
    return Labels(labels, void & (labels == 0))


def _cut_out(rgba: np.ndarray, classes: Classes, where: str) -> Labels | None:
    """A mask that is carried by the alpha channel; None if that channel says nothing."""
    solid = opaque(rgba[..., 3], where)
    if solid is None:
        return None
    if classes.colours:
        black = np.where(solid[..., None], rgba[..., :3], 0).astype(np.uint8)
        return colour_labels(black, classes, where)
    shown = rgba[..., :3][solid]
    gray = shown.min(axis=1) == shown.max(axis=1)
    if gray.all() and set(np.unique(shown).tolist()) == {0, 255}:
        raise MaskError(
            f"{where}: is black and white and also partly transparent: both could be the mask; "
            "save it without its alpha channel, or give only that channel"
        )
    if len(classes) > 1:
        raise MaskError(
            f"{where}: a cut-out marks one class, but {len(classes)} are named; give one mask a "
            "class: {'name': mask, ...}"
        )
    return Labels(solid.astype(np.uint8), np.zeros(solid.shape, bool))
