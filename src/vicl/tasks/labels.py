"""What is read from a mask, and the words in which one is refused."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Int, Integer, UInt8
from PIL import Image


class MaskError(ValueError):
    """A mask that cannot be read, or can be read in more than one way."""


@dataclass(frozen=True, eq=False)
class Labels:
    """A mask that has been read.

    Attributes:
        labels: Class numbers, 0 = background, (h, w).
        void: True where a pixel belongs to no class and should not be scored, (h, w).
    """

    labels: UInt8[np.ndarray, "h w"]
    void: Bool[np.ndarray, "h w"]


_SAMPLE: Final = 1 << 24
"""Numbers that are enough to tell a photograph by."""

_PART: Final = 1 << 18
"""Pixels that are counted at a time."""


def mask_name(mask: Any) -> str:
    """Name a mask in a message: by its file, where it has one."""
    if isinstance(mask, str | os.PathLike):
        return f"mask {os.fspath(mask)!r}"
    filename = getattr(mask, "filename", "") if isinstance(mask, Image.Image) else ""
    return f"mask {os.fspath(filename)!r}" if filename else "mask"


def levels(values: Integer[np.ndarray, ...]) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """The values that occur, in ascending order, and how often each does.

    Args:
        values: Whole numbers of any shape, at least one.
    """
    low, high = int(values.min()), int(values.max())
    # Most masks have two values, and to count two is a tenth of the work.
    ends = np.unique([low, high])
    counts = np.array([np.count_nonzero(values == value) for value in ends])
    if counts.sum() == values.size:
        return ends, counts
    if low < 0 or high > 0xFFFF:
        present, counts = np.unique(values, return_counts=True)
        return present, counts
    if values.dtype == np.uint8:
        counts = np.array(Image.fromarray(values.reshape(len(values), -1)).histogram())
        present = np.flatnonzero(counts)
        return present, counts[present]
    # Linear in the pixels, where sorting them would not be; in parts, since each is widened.
    flat = values.ravel()
    counts = np.zeros(high + 1, np.int64)
    for start in range(0, len(flat), _PART):
        counts += np.bincount(flat[start : start + _PART], minlength=high + 1)
    present = np.flatnonzero(counts)
    return present, counts[present]


def listed(present: Int[np.ndarray, " n"], counts: Int[np.ndarray, " n"]) -> str:
    """Say which values occur and how often: "0 (81.5%), 7 (18.5%)"."""
    shares = counts / counts.sum()
    text = [f"{v} ({s:.1%})" for v, s in zip(present[:8].tolist(), shares[:8], strict=True)]
    return ", ".join(text) + (f" and {len(present) - 8} more" if len(present) > 8 else "")


def looks_inverted(marked: Bool[np.ndarray, "h w"]) -> bool:
    """Whether more than half is marked, and nearly the whole border: as background would be."""
    border = np.concatenate([marked[0], marked[-1], marked[:, 0], marked[:, -1]])
    return bool(2 * np.count_nonzero(marked) > marked.size and border.mean() >= 0.9)


def looks_photographic(pixels: Integer[np.ndarray, "h w *c"]) -> bool:
    """Whether neighbouring pixels differ nearly everywhere, as no mask's do.

    Args:
        pixels: Gray levels (h, w), or colours (h, w, c).
    """
    if pixels.shape[1] < 2:
        return False
    pixels = pixels[:: pixels.size // _SAMPLE + 1]  # of large ones some rows are enough
    steps = np.abs(np.diff(pixels.astype(np.int32), axis=1)).reshape(-1, *pixels.shape[2:])
    still = (steps.max(axis=1) if steps.ndim == 2 else steps) <= max(2, pixels.max() // 128)
    return bool(still.mean() < 0.5)
