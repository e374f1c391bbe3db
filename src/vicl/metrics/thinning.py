"""Thinning drawn lines to one pixel, at a cost that does not grow with how thick they are."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Bool

_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
"""A pixel's neighbours (row, column), clockwise from the upper left; one bit each."""


def thin_lines(lines: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Take pixels from both sides of lines until they are one pixel wide.

    After the first look only pixels beside those that were taken are looked at again: a filled
    shape takes as long as its pixels, where passes over the whole picture would take that as many
    times as it is thick.

    Args:
        lines: True on lines of any thickness.

    Returns:
        What is left; no line is broken, and none vanishes.

    Source: Guo, Hall, "Parallel thinning with two-subiteration algorithms", CACM 1989.
    """
    padded = np.pad(lines, 1)
    left, width = padded.ravel(), padded.shape[1]
    offsets = [row * width + column for row, column in _AROUND]
    inside = np.flatnonzero(left)
    around = np.zeros(left.size, np.uint8)
    for bit, offset in enumerate(offsets):
        around[inside - offset] |= np.uint8(1 << bit)
    # For each half step, what may have become ripe since it was looked at.
    waiting = [[inside], [inside]]
    queued = [left.copy(), left.copy()]
    while waiting[0] or waiting[1]:
        for half, ripe in enumerate(_ripe()):
            if not waiting[half]:
                continue
            looked = np.concatenate(waiting[half])
            waiting[half] = []
            queued[half][looked] = False
            looked = looked[left[looked]]
            taken = looked[ripe[around[looked]]]
            left[taken] = False
            for bit, offset in enumerate(offsets if len(taken) else ()):
                beside = taken - offset
                around[beside] &= np.uint8(255 - (1 << bit))
                beside = beside[left[beside]]
                for line, waits in zip(waiting, queued, strict=True):
                    fresh = beside[~waits[beside]]
                    waits[fresh] = True
                    line.append(fresh)
    return padded[1:-1, 1:-1].copy()


@cache
def _ripe() -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """For each neighbourhood, whether its pixel may be taken, in either half step."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1 == 1
    # As the source numbers them: x1 to the right, and on against the clock.
    x1, x2, x3, x4, x5, x6, x7, x8 = (bits[:, bit] for bit in (3, 2, 1, 0, 7, 6, 5, 4))
    crossings = sum(
        (~a & (b | c)).astype(int)
        for a, b, c in ((x1, x2, x3), (x3, x4, x5), (x5, x6, x7), (x7, x8, x1))
    )
    pairs = (
        ((x1, x2), (x3, x4), (x5, x6), (x7, x8)),
        ((x2, x3), (x4, x5), (x6, x7), (x8, x1)),
    )
    few = np.minimum(*(sum((a | b).astype(int) for a, b in four) for four in pairs))
    common = (crossings == 1) & (few >= 2) & (few <= 3)
    return common & ~((x2 | x3 | ~x8) & x1), common & ~((x6 | x7 | ~x4) & x5)
