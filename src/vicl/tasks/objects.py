"""Separate objects of a mask, numbered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Int, Int32, UInt8

_LEAST: Final = 4
"""Objects of fewer pixels are none: they come of enlarging and cutting."""


def separate_objects(
    mask: UInt8[np.ndarray, "h w"], objects: Sequence[Int[np.ndarray, "h w"]] = ()
) -> Int32[np.ndarray, "h w"]:
    """Number the objects of a mask from 1, class by class, in reading order.

    Args:
        mask: Class numbers, 0 = background.
        objects: For each class a map whose numbers tell its touching objects apart; without them
            each 8-connected component of a class is an object.

    Returns:
        Object numbers; 0 = background. Every object is 8-connected and of one class.
    """
    from scipy import ndimage
    from skimage import measure

    connected: Any = measure.label

    found = np.zeros(mask.shape, np.int32)
    count = 0
    # Each class is looked at where it is, else many classes would cost the whole mask each.
    for number, place in enumerate(ndimage.find_objects(mask), start=1):
        if place is None:
            continue
        apart = np.where(mask[place] == number, objects[number - 1][place] if objects else 1, 0)
        parts = np.asarray(connected(apart, background=0, connectivity=2), np.int32)
        kept = np.bincount(parts.ravel()) >= _LEAST
        kept[0] = False
        order = np.where(kept, np.cumsum(kept) + count, 0).astype(np.int32)
        found[place] += order[parts]
        count += int(kept.sum())
    return found
