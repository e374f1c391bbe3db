"""Clean grids: prompts as a layout draws them, with the answer filled in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator

from vicl.canvas.arrangements import ARRANGEMENTS
from vicl.canvas.layout import Layout, Order
from vicl.figures.figure import Cell
from vicl.figures.synthetic.rules.rule import Pair

_ONE = 0.8
"""Share of the grids that show one example: what most prompts have."""
_FIRST = 0.6
"""Share of the grids that have the published arrangement: query and answer below."""
_PUBLISHED = 0.3
"""Share of the grids with two examples that are the published 3x2, where the canvas is its."""


def draw_layout(rng: Generator, canvas_size: tuple[int, int], patch_size: int) -> Layout:
    """Draw a grid: one example mostly, and the published arrangement mostly.

    Args:
        rng: Decides.
        canvas_size: (height, width) in pixels, multiples of `patch_size`.
        patch_size: In pixels.

    Raises:
        ValueError: If no grid fits on such a canvas.
    """
    most = _most(canvas_size, patch_size)
    one = rng.random() < _ONE or most < 2
    examples = 1 if one else 2 + int(rng.integers(most - 1))
    arrangement = 1 if rng.random() < _FIRST else 1 + int(rng.integers(len(ARRANGEMENTS)))
    fits_paper = canvas_size == (224, 224) and patch_size == 16
    if examples == 2 and fits_paper and rng.random() < _PUBLISHED:
        return _layout(canvas_size, patch_size, 2, "above", arrangement, published=True)
    order: Order = "above" if arrangement < 5 or canvas_size[0] != canvas_size[1] else "left"
    return _layout(canvas_size, patch_size, examples, order, arrangement)


@lru_cache(maxsize=16)
def _most(canvas_size: tuple[int, int], patch_size: int) -> int:
    return Layout.largest(canvas_size, patch_size=patch_size)


@lru_cache(maxsize=256)
def _layout(
    canvas_size: tuple[int, int],
    patch_size: int,
    examples: int,
    order: Order,
    arrangement: int,
    *,
    published: bool = False,
) -> Layout:
    if published:
        return Layout.paper(examples).arranged(arrangement)
    grid = Layout.grid(examples, canvas_size=canvas_size, patch_size=patch_size, order=order)
    # Arrangements 5 to 8 are those of the other order; on canvases that are not square, only the
    # ones that keep their shape are shown.
    return grid.arranged(arrangement if arrangement < 5 else arrangement - 4)


def grid_cells(layout: Layout) -> tuple[Cell, ...]:
    """The cells of a layout: pairs in turn, the query's last."""
    cells: list[Cell] = []
    for row, (before, after) in enumerate(zip(layout.inputs, layout.outputs, strict=True)):
        cells += [Cell(before, row, "input"), Cell(after, row, "output")]
    row = layout.examples
    return (*cells, Cell(layout.query, row, "query"), Cell(layout.answer, row, "answer"))


def draw_grid(layout: Layout, pairs: Sequence[Pair]) -> UInt8[np.ndarray, "H W 3"]:
    """Draw a layout with its answer.

    Args:
        layout: Where things stand.
        pairs: One an example and, last, the query with its answer; of the cells' sizes.
    """
    level = round(255 * layout.background)
    canvas = np.full((*layout.canvas_size, 3), level, np.uint8)
    rects = zip(
        (*layout.inputs, layout.query), (*layout.outputs, layout.answer), pairs, strict=True
    )
    for before, after, pair in rects:
        for rect, picture in ((before, pair.input), (after, pair.output)):
            canvas[rect.top : rect.bottom, rect.left : rect.right] = picture
    return canvas
