"""A page cut along its gutters: straight bands of one colour from side to side.

Source: the recursive X-Y cut of Nagy and Seth, "Hierarchical representation of optically scanned
documents", ICPR 1984. Differs: a band may have any colour, so long as it is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from vicl.canvas.rects import Rect

LEAST: Final = 24
"""A part with a shorter side, in pixels, is not cut."""

_EVEN: Final = 36.0
"""A row is of one colour if its grey levels have at most this variance: JPEG's noise has less."""

_DEPTH: Final = 6
"""So often is a part of a part cut; what is cut further is text."""


class Gutter(NamedTuple):
    """A band between two parts that are both at least `LEAST` long across it.

    Attributes:
        across: Whether it runs from left to right.
        width: In pixels.
        level: Mean grey level, 0 to 255.
        depth: Of how many parts it is a part: 0 runs across all of the page.
    """

    across: bool
    width: int
    level: float
    depth: int


@dataclass(frozen=True)
class Cut:
    """A page in parts.

    Attributes:
        parts: What is cut no further, without the bands around it; from the top, then the left.
        gutters: Between them.
    """

    parts: tuple[Rect, ...]
    gutters: tuple[Gutter, ...]


def cut_page(grey: Float[np.ndarray, "h w"]) -> Cut:
    """Cut a page.

    Args:
        grey: Levels, 0 to 255.
    """
    parts: list[Rect] = []
    gutters: list[Gutter] = []
    lines = (_Lines(grey), _Lines(np.ascontiguousarray(grey.T)))
    waiting = [(Rect(0, 0, *grey.shape), 0)]
    while waiting:
        rect, depth = waiting.pop()
        rect = _trimmed(rect, lines)
        if rect.height < 1 or rect.width < 1:
            continue
        pieces: list[tuple[int, int]] = []
        if min(rect.size) >= LEAST and depth < _DEPTH:
            for across in (True, False):
                pieces = _pieces(_even(rect, lines, across))
                if len(pieces) > 1:
                    break
        if len(pieces) < 2:
            parts.append(rect)
            continue
        gutters += _gutters(rect, pieces, lines, across, depth)
        waiting += [(_piece(rect, piece, across), depth + 1) for piece in pieces]
    return Cut(tuple(sorted(parts, key=lambda r: (r.top, r.left))), tuple(gutters))


class _Lines:
    """Sums along each row, of which the mean and variance of any stretch of it follow."""

    def __init__(self, grey: Float[np.ndarray, "h w"]) -> None:
        values = grey.astype(np.float64)
        zero = np.zeros((len(values), 1))
        self._sums = np.concatenate([zero, np.cumsum(values, axis=1)], axis=1)
        self._squares = np.concatenate([zero, np.cumsum(values * values, axis=1)], axis=1)

    def means(self, start: int, stop: int, left: int, right: int) -> Float[np.ndarray, " n"]:
        """Of the rows from `start`, each from `left` on."""
        sums = self._sums[start:stop, right] - self._sums[start:stop, left]
        return np.asarray(sums / (right - left))

    def even(self, start: int, stop: int, left: int, right: int) -> Bool[np.ndarray, " n"]:
        """Which rows are of one colour."""
        squares = self._squares[start:stop, right] - self._squares[start:stop, left]
        means = self.means(start, stop, left, right)
        return np.asarray(squares / (right - left) - means * means <= _EVEN)


def _even(rect: Rect, lines: tuple[_Lines, _Lines], across: bool) -> Bool[np.ndarray, " n"]:
    if across:
        return lines[0].even(rect.top, rect.bottom, rect.left, rect.right)
    return lines[1].even(rect.left, rect.right, rect.top, rect.bottom)


def _trimmed(rect: Rect, lines: tuple[_Lines, _Lines]) -> Rect:
    """Without the bands along its sides."""
    for across in (True, False):
        inked = np.flatnonzero(~_even(rect, lines, across))
        if not len(inked):
            return Rect(rect.top, rect.left, 0, 0)
        rect = _piece(rect, (int(inked[0]), int(inked[-1]) + 1), across)
    return rect


def _pieces(even: Bool[np.ndarray, " n"]) -> list[tuple[int, int]]:
    """Where rows that are not of one colour begin and end."""
    steps = np.flatnonzero(np.diff(np.concatenate([[True], even, [True]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in zip(steps[::2], steps[1::2], strict=True)]


def _piece(rect: Rect, piece: tuple[int, int], across: bool) -> Rect:
    begin, end = piece
    if across:
        return Rect(rect.top + begin, rect.left, end - begin, rect.width)
    return Rect(rect.top, rect.left + begin, rect.height, end - begin)


def _gutters(
    rect: Rect,
    pieces: list[tuple[int, int]],
    lines: tuple[_Lines, _Lines],
    across: bool,
    depth: int,
) -> list[Gutter]:
    found = []
    for (begin, end), (after, last) in pairwise(pieces):
        if min(end - begin, last - after) < LEAST:
            continue
        if across:
            means = lines[0].means(rect.top + end, rect.top + after, rect.left, rect.right)
        else:
            means = lines[1].means(rect.left + end, rect.left + after, rect.top, rect.bottom)
        found.append(Gutter(across, after - end, float(means.mean()), depth))
    return found
