"""COCO's run-length code of a mask, without pycocotools.

A mask is read column by column. The counts are lengths of runs, of 0 and of 1 in turn; the first is
of 0, and is 0 itself where the mask starts with a 1. Compressed, a count is written as its
difference to the count two places before (from the fourth count on), five bits a character, lowest
first, from character 48 on; the sixth bit says that more follow (``maskApi.c`` of the COCO API).
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import numpy as np
from jaxtyping import Bool, Int, Shaped
from pydantic import FailFast
from typing_extensions import TypedDict

from vicl.images import DEFAULT_LIMIT_PIXELS


class _FirstFault(FailFast):
    """Pydantic's own, in a form that may stand in a union."""

    __hash__ = object.__hash__


FIRST_FAULT = _FirstFault()
"""Of a list only the first fault is told: a stranger's may have millions, each kept in memory."""


class Rle(TypedDict):
    """A mask as COCO's JSON holds it.

    Attributes:
        size: [height, width].
        counts: Compressed text, or the counts themselves.
    """

    size: list[int]
    counts: str | Annotated[list[int], FIRST_FAULT]


Counts: TypeAlias = Int[np.ndarray, " n"]


def encode_rle(mask: Shaped[np.ndarray, "h w"], *, compress: bool = True) -> Rle:
    """Encode a mask.

    Args:
        mask: Boolean or integer; non-zero is the object.
        compress: Counts as text, as pycocotools writes them, or as a list of integers.
    """
    return pixels_to_rle(np.flatnonzero(mask.T), mask.shape, compress=compress)


def pixels_to_rle(
    pixels: Int[np.ndarray, " n"], size: tuple[int, ...], *, compress: bool = True
) -> Rle:
    """Encode a set of pixels.

    Args:
        pixels: Column-major indices ``x * h + y``, rising.
        size: (height, width).
        compress: As in :func:`encode_rle`.
    """
    height, width = size
    gaps = np.flatnonzero(np.diff(pixels) > 1)
    bounds = np.empty(2 * len(gaps) + 2 if len(pixels) else 0, dtype=np.int64)
    if len(pixels):
        bounds[0], bounds[-1] = pixels[0], pixels[-1] + 1
        bounds[1:-1:2], bounds[2::2] = pixels[gaps] + 1, pixels[gaps + 1]
    if len(bounds) == 0 or bounds[-1] < height * width:
        bounds = np.append(bounds, height * width)
    counts = np.diff(bounds, prepend=0)
    return {"size": [height, width], "counts": _to_text(counts) if compress else counts.tolist()}


def decode_rle(rle: Rle, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Bool[np.ndarray, "h w"]:
    """Decode a mask.

    Args:
        rle: Compressed or not; it may come from a stranger.
        limit_pixels: Largest height times width.

    Raises:
        ValueError: If the size is over the limit, or the counts do not make up that size.
    """
    counts = _checked_counts(rle, limit_pixels)
    height, width = rle["size"]
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def rle_to_pixels(rle: Rle, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Int[np.ndarray, " n"]:
    """Decode a set of pixels, in time and memory of its own size, not the image's.

    Args:
        rle: As for :func:`decode_rle`.
        limit_pixels: The same.

    Returns:
        Column-major indices ``x * h + y``, rising.

    Raises:
        ValueError: As :func:`decode_rle`.
    """
    counts = _checked_counts(rle, limit_pixels)
    lengths = counts[1::2]
    starts = np.cumsum(counts)[::2][: len(lengths)]
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def _checked_counts(rle: Rle, limit_pixels: int) -> Counts:
    height, width = rle["size"]
    if height < 0 or width < 0 or height * width > limit_pixels:
        raise ValueError(
            f"size: got {height} x {width}, expected at most {limit_pixels} pixels; raise "
            "limit_pixels if the image is meant to be that large"
        )
    text = rle["counts"]
    counts = _from_text(text) if isinstance(text, str) else np.array(text, dtype=np.int64)
    # Bounded one by one before they are added, so that no sum can overflow.
    if ((counts < 0) | (counts > height * width)).any() or counts.sum() != height * width:
        raise ValueError(
            f"counts: got runs that do not fill the image, expected runs of 0 and more that add "
            f"up to {height} x {width} = {height * width} pixels"
        )
    return counts


def _to_text(counts: Counts) -> str:
    left = counts.astype(np.int64)
    left[3:] -= counts[1:-2]
    characters = []
    more = np.ones(len(left), dtype=bool)
    while more.any():
        bits = left & 31
        left = left >> 5
        goes_on = np.where(bits & 16, left != -1, left != 0)
        characters.append(np.where(more, bits + 32 * goes_on + 48, 0))
        more &= goes_on
    table = np.stack(characters, axis=1).astype(np.uint8)  # (n, length of the longest)
    return table[table > 0].tobytes().decode("ascii")


def _from_text(text: str) -> Counts:
    codes = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int64) - 48
    if ((codes < 0) | (codes > 63)).any() or (len(codes) and codes[-1] & 32):
        raise ValueError("counts: got text that is no COCO run-length code or is cut off")
    starts = np.flatnonzero(np.append(True, codes[:-1] & 32 == 0)) if len(codes) else codes
    lengths = np.diff(np.append(starts, len(codes)))
    if (lengths > 12).any():
        raise ValueError("counts: got a run of more than 12 characters, which no image needs")
    place = np.arange(len(codes)) - np.repeat(starts, lengths)
    counts = np.add.reduceat((codes & 31) << 5 * place, starts) if len(codes) else codes
    negative = codes[starts + lengths - 1] & 16 != 0
    counts = counts - np.where(negative, 1 << 5 * lengths, 0)
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts
