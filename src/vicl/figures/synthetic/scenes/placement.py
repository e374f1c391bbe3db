"""Where the things of a scene go."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numpy.random import Generator

_TRIES = 40
_GAP = 0.02
"""Between things that stay apart, and from them to the edge; a share of the cell."""

_MIDDLE = 0.08
"""How far from the middle of the cell the centre of a thing stays that lies in one half."""

Range = tuple[float, float]


def half_of(position: str, *, within: bool) -> tuple[Range, Range]:
    """Where the centre of a thing may lie that is, or is not, in a half of the cell.

    Args:
        position: One of `POSITIONS`.
        within: In this half; False: in the other one.

    Returns:
        Ranges of y and x, shares of the cell.
    """
    first = (position in ("left", "top")) == within
    side = (0.0, 0.5 - _MIDDLE) if first else (0.5 + _MIDDLE, 1.0)
    return ((0.0, 1.0), side) if position in ("left", "right") else (side, (0.0, 1.0))


def place(
    rng: Generator,
    radii: Sequence[float],
    *,
    apart: bool,
    closeness: float = 0.6,
    limits: Sequence[tuple[Range, Range]] | None = None,
) -> tuple[tuple[float, float], ...] | None:
    """Find places for things by trying, the largest first.

    Args:
        rng: Source of chance.
        radii: Of circles that hold the things, shares of the cell.
        apart: Things neither touch each other nor the edge of the cell.
        closeness: How near to each other two things come that may overlap: the distance of their
            centres is at least this share of the sum of their radii.
        limits: Ranges of y and x for the centre of each thing; None for the whole cell.

    Returns:
        Centres (y, x), one a radius; None if some thing found no place.
    """
    centres: list[tuple[float, float]] = [(0.5, 0.5)] * len(radii)
    done: list[int] = []
    for index in sorted(range(len(radii)), key=lambda i: -radii[i]):
        radius = radii[index]
        edge = radius + _GAP if apart else min(0.5, 0.5 * radius)
        (top, bottom), (left, right) = limits[index] if limits else ((0.0, 1.0), (0.0, 1.0))
        top, bottom = max(top, edge), min(bottom, 1 - edge)
        left, right = max(left, edge), min(right, 1 - edge)
        if top > bottom or left > right:
            return None
        for y, x in rng.random((_TRIES, 2)).tolist():
            centre = (top + (bottom - top) * y, left + (right - left) * x)
            if all(
                math.dist(centre, centres[other])
                >= (radius + radii[other] + _GAP if apart else closeness * (radius + radii[other]))
                for other in done
            ):
                centres[index] = centre
                done.append(index)
                break
        else:
            return None
    return tuple(centres)
