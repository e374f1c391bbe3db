"""Outlines with fewer points, all of a mask at once.

The cost is bounded by the points, whatever their shape: a noisy mask has millions of them, and a
step for each in Python, or for each part of a comb, would take minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, groupby
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

_BALANCED: Final = 32
"""Rounds after which pieces are split in their middles, so that few more are needed."""

_AT_ONCE: Final = 1 << 20
"""Points of outlines that are looked at together, but for a single one that has more."""


def simplified(
    rings: Sequence[Float[np.ndarray, "_ 2"]], tolerance: float
) -> list[Float[np.ndarray, "_ 2"]]:
    """Drop points of closed outlines, none of which then lies farther off than allowed.

    Pieces are split at the point farthest from the line between their ends, until none is too far;
    all pieces of all outlines in the same rounds.

    Args:
        rings: Points (x, y), the last one not repeating the first; at least one each.
        tolerance: In pixels, over 0.

    Returns:
        Those points that are kept, in order; an outline that would shrink to a line is as it was.

    Source: Douglas, Peucker, "Algorithms for the reduction of the number of points required to
    represent a digitized line or its caricature", Cartographica 1973.
    """
    totals = np.cumsum([len(ring) for ring in rings])
    groups = groupby(zip(totals // _AT_ONCE, rings, strict=True), key=lambda pair: pair[0])
    return [
        few for _, group in groups for few in _simplified([ring for _, ring in group], tolerance)
    ]


def _simplified(
    rings: Sequence[Float[np.ndarray, "_ 2"]], tolerance: float
) -> list[Float[np.ndarray, "_ 2"]]:
    closed = np.concatenate([piece for ring in rings for piece in (ring, ring[:1])])
    ends = np.cumsum([len(ring) + 1 for ring in rings]) - 1
    kept = _kept(closed, ends - [len(ring) for ring in rings], ends, tolerance)
    kept[ends] = False
    chosen = [ring[kept[end - len(ring) : end]] for ring, end in zip(rings, ends, strict=True)]
    return [few if len(few) > 2 else ring for few, ring in zip(chosen, rings, strict=True)]


def _kept(
    points: Float[np.ndarray, "n 2"],
    starts: Int[np.ndarray, " p"],
    ends: Int[np.ndarray, " p"],
    tolerance: float,
) -> Bool[np.ndarray, " n"]:
    """Which points are kept of pieces that each go from one point to another."""
    kept = np.zeros(len(points), bool)
    kept[starts] = kept[ends] = True
    for done in count():
        inner = ends - starts - 1
        starts, ends, inner = (values[inner > 0] for values in (starts, ends, inner))
        if not len(starts):
            break
        firsts = np.cumsum(inner) - inner
        piece = np.repeat(np.arange(len(starts)), inner)
        within = np.arange(len(piece)) + (starts + 1 - firsts)[piece]
        off = _squared_distances(points[within], points[starts][piece], points[ends][piece])
        most = np.maximum.reduceat(off, firsts)
        if done < _BALANCED:
            farthest = np.flatnonzero(off == most[piece])
            splits = within[farthest[np.unique(piece[farthest], return_index=True)[1]]]
        else:
            splits = (starts + ends) // 2
        over = most > tolerance**2
        starts, ends, splits = starts[over], ends[over], splits[over]
        kept[splits] = True
        starts, ends = np.concatenate([starts, splits]), np.concatenate([splits, ends])
    return kept


def _squared_distances(
    points: Float[np.ndarray, "n 2"],
    starts: Float[np.ndarray, "n 2"],
    ends: Float[np.ndarray, "n 2"],
) -> Float[np.ndarray, " n"]:
    """Of each point from its own stretch of a line."""
    along, offset = ends - starts, points - starts
    length = (along**2).sum(axis=1)
    share = np.clip((offset * along).sum(axis=1) / np.where(length > 0, length, 1), 0, 1)
    off: Float[np.ndarray, " n"] = ((offset - share[:, None] * along) ** 2).sum(axis=1)
    return off
