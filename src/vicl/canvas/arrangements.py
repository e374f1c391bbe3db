"""The eight ways to lay the same grid out."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from vicl.canvas.rects import Rect


class Arrangement(NamedTuple):
    """A symmetry of the square, applied to the *places* of the cells, the transposition first.

    The images in the cells keep their own orientation.
    """

    transpose: bool
    flip_rows: bool
    flip_columns: bool

    def canvas(self, size: tuple[int, int]) -> tuple[int, int]:
        """The arranged canvas of one of that (height, width)."""
        return size[::-1] if self.transpose else size

    def move(self, rect: Rect, canvas: tuple[int, int]) -> Rect:
        """Where a rectangle comes to lie on the arranged canvas of that (height, width)."""
        if self.transpose:
            rect = Rect(rect.left, rect.top, rect.width, rect.height)
        if self.flip_rows:
            rect = replace(rect, top=canvas[0] - rect.bottom)
        if self.flip_columns:
            rect = replace(rect, left=canvas[1] - rect.right)
        return rect


ARRANGEMENTS: dict[int, Arrangement] = {
    1: Arrangement(False, False, False),  # input, output / query, answer: the published one
    2: Arrangement(False, False, True),
    3: Arrangement(False, True, True),
    4: Arrangement(False, True, False),
    5: Arrangement(True, True, False),
    6: Arrangement(True, True, True),
    7: Arrangement(True, False, True),
    8: Arrangement(True, False, False),  # input, query / output, answer
}
"""Numbered as in prompt-SelF (Sun et al. 2023), A1 to A8."""
