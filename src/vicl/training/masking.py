"""Masking: which patches a model has to fill while it learns.

A masking hides equally many patches of every canvas of a batch, so that shapes within the batch
are static; figures that know their own holes (see :class:`AnswerCell`) may have others.  Everything
is drawn for the whole batch at once, on the CPU, from the generator that is handed in.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Int
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor

from vicl.canvas.layout import Layout, Order
from vicl.canvas.rects import Rect
from vicl.training.settings import Part

_BLOCK_PATCHES = 16
"""The smallest block of BEiT's masking, where the grid allows it."""

_BLOCK_RATIO = 0.3
"""Blocks are between this and 1 / this times as high as they are wide."""

_BLOCKS = 64
"""Blocks drawn at most; a few suffice unless nearly everything is to be hidden."""

_PLANES: tuple[Order, Order] = ("above", "left")


class _Masking(Part):
    """What every masking has: its share of the batches, in proportion to the others' weights."""

    weight: PositiveFloat = 1.0


class RandomPatches(_Masking):
    """Patches at random, as MAE hides them.

    Attributes:
        ratio: Share of the patches; at least one is hidden and at least one stays visible.

    Source: He et al. 2021, arXiv:2111.06377, section 3.
    """

    kind: Literal["patches"] = "patches"
    ratio: float = Field(default=0.75, gt=0, lt=1)

    def draw(
        self, batch: int, grid: tuple[int, int], generator: torch.Generator
    ) -> Bool[Tensor, "b rows columns"]:
        """Draw holes for a batch of canvases of `grid` (rows, columns) patches."""
        order = torch.rand(batch, grid[0] * grid[1], generator=generator).argsort(dim=1)
        return (order < _share(self.ratio, grid)).view(batch, *grid)


class RandomRectangles(_Masking):
    """One rectangle of whole patches, of one size for the batch and a place of its own.

    Attributes:
        low: Least side, as a share of the canvas'; at least one patch is hidden.
        high: Greatest side.
    """

    kind: Literal["rectangles"] = "rectangles"
    low: float = Field(default=0.1, gt=0, le=1)
    high: float = Field(default=0.4, gt=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> RandomRectangles:
        if self.low > self.high:
            raise ValueError(f"low: got {self.low}, expected at most high ({self.high})")
        return self

    def draw(
        self, batch: int, grid: tuple[int, int], generator: torch.Generator
    ) -> Bool[Tensor, "b rows columns"]:
        """Draw holes for a batch of canvases of `grid` (rows, columns) patches."""
        shares = self.low + (self.high - self.low) * torch.rand(2, generator=generator).double()
        height, width = (
            max(1, round(share * side)) for share, side in zip(shares.tolist(), grid, strict=True)
        )
        top = torch.randint(grid[0] - height + 1, (batch,), generator=generator)
        left = torch.randint(grid[1] - width + 1, (batch,), generator=generator)
        sides = torch.tensor([height, width]).expand(batch, 2)
        return _rectangles(torch.stack([top, left], dim=1), sides, grid)


class Blocks(_Masking):
    """Blocks of patches, until a share of the canvas is hidden, as BEiT does it.

    A block has 16 patches or more, as far as the grid and the share allow it, but for rounding,
    and a side ratio of 0.3 to 1 / 0.3.  The last block is hidden only in part, its upper rows, so
    that every canvas of a batch hides equally much.

    Attributes:
        ratio: Share of the patches; at least one is hidden and at least one stays visible.

    Source: Bao et al. 2021, arXiv:2106.08254, algorithm 1.  Differs: the last block is cut; the
    logarithm of the side ratio is uniform.
    """

    kind: Literal["blocks"] = "blocks"
    ratio: float = Field(default=0.4, gt=0, lt=1)

    def draw(
        self, batch: int, grid: tuple[int, int], generator: torch.Generator
    ) -> Bool[Tensor, "b rows columns"]:
        """Draw holes for a batch of canvases of `grid` (rows, columns) patches."""
        count = _share(self.ratio, grid)
        # Number of the first block that covers a patch; _BLOCKS where none does.
        first = torch.full((batch, *grid), _BLOCKS)
        for number in range(_BLOCKS):
            missing = count - (first < number).flatten(1).sum(dim=1)
            if int(missing.max()) <= 0:
                break
            block = _draw_blocks(missing, grid, generator)
            first[block & (first == _BLOCKS)] = number
        earliest = first.flatten(1).argsort(dim=1, stable=True)[:, :count]
        hidden = torch.zeros(batch, grid[0] * grid[1], dtype=torch.bool)
        return hidden.scatter(1, earliest, True).view(batch, *grid)


class AnswerCell(_Masking):
    """The answer's place: a figure's own, where it is known; else that of a random grid.

    Own holes of several sizes in a batch cost a pass each, and a loss that is a mean over all
    hidden patches then depends a little on how a batch is shared out.

    How many examples the grid has is drawn once for a batch, among those that fit on the canvas;
    which way it is laid out is drawn for each canvas.  On a canvas too small for
    :meth:`vicl.canvas.layout.Layout.grid` it is one of the four quarters.
    """

    kind: Literal["answer"] = "answer"

    def draw(
        self, batch: int, grid: tuple[int, int], generator: torch.Generator
    ) -> Bool[Tensor, "b rows columns"]:
        """Draw holes for a batch of canvases of `grid` (rows, columns) patches."""
        groups = answer_cells(grid)
        cells = groups[int(torch.randint(len(groups), (), generator=generator))]
        places = torch.tensor([[cell.top, cell.left] for cell in cells])
        chosen = torch.randint(len(cells), (batch,), generator=generator)
        sides = torch.tensor(cells[0].size).expand(batch, 2)
        return _rectangles(places[chosen], sides, grid)


class Everything(_Masking):
    """Every patch: what an autoregressive model learns from."""

    kind: Literal["all"] = "all"

    def draw(
        self, batch: int, grid: tuple[int, int], generator: torch.Generator
    ) -> Bool[Tensor, "b rows columns"]:
        """Hide all of a batch of canvases of `grid` (rows, columns) patches; draws nothing."""
        return torch.ones(batch, *grid, dtype=torch.bool)


Masking = Annotated[
    RandomPatches | RandomRectangles | Blocks | AnswerCell | Everything,
    Field(discriminator="kind"),
]
"""A masking as a recipe names it, by its `kind`."""


def choose_masking(maskings: Sequence[Masking], generator: torch.Generator) -> Masking:
    """Choose one of the maskings by their weights.

    Args:
        maskings: At least one.
        generator: Of the CPU.

    Raises:
        ValueError: If there is none.
    """
    if not maskings:
        raise ValueError("maskings: got none, expected at least one; see Masking")
    weights = torch.tensor([masking.weight for masking in maskings], dtype=torch.float64)
    return maskings[int(torch.multinomial(weights, 1, generator=generator))]


def draw_holes(
    masking: Masking,
    batch: int,
    canvas_size: tuple[int, int],
    patch_size: int,
    generator: torch.Generator,
) -> Bool[Tensor, "b H W"]:
    """Draw the holes of a batch.

    Args:
        masking: How.
        batch: How many canvases.
        canvas_size: (height, width) in pixels, multiples of `patch_size`.
        patch_size: Side of a patch, in pixels.
        generator: Of the CPU; what is drawn depends on nothing else.

    Returns:
        True = to fill, on the CPU; whole patches, equally many in every item.

    Raises:
        ValueError: If the canvas does not consist of whole patches.
    """
    if any(side % patch_size for side in canvas_size):
        raise ValueError(
            f"canvas_size: got {canvas_size}, expected multiples of patch_size ({patch_size})"
        )
    grid = (canvas_size[0] // patch_size, canvas_size[1] // patch_size)
    hidden = masking.draw(batch, grid, generator)
    return hidden.repeat_interleave(patch_size, 1).repeat_interleave(patch_size, 2)


@functools.lru_cache
def answer_cells(grid: tuple[int, int]) -> tuple[tuple[Rect, ...], ...]:
    """Where answers stand on a canvas of `grid` (rows, columns) patches, in patches.

    Returns:
        A group for each number of examples that fits (on canvases that are not square also for
        each side on which they stand, where that changes the cell's size), with the different
        places that the arrangements of the canvas' shape give.
    """
    patch = 4  # of any size above the gap: only whole patches are read off
    canvas = (grid[0] * patch, grid[1] * patch)
    groups: dict[tuple[int, int], dict[Rect, None]] = {}
    for order in _PLANES:
        for examples in range(1, Layout.largest(canvas, patch_size=patch, order=order) + 1):
            layout = Layout.grid(examples, canvas_size=canvas, patch_size=patch, order=order)
            for arrangement in range(1, 5):  # 5 to 8 transpose; the other order stands for them
                hole = layout.arranged(arrangement).hole
                cell = Rect(*(value // patch for value in (hole.top, hole.left, *hole.size)))
                groups.setdefault((examples, cell.height), {})[cell] = None
    if groups:
        return tuple(tuple(cells) for cells in groups.values())
    height, width = (max(1, side // 2) for side in grid)
    tops, lefts = (0, grid[0] - height), (0, grid[1] - width)
    return (tuple(Rect(top, left, height, width) for top in tops for left in lefts),)


def _share(ratio: float, grid: tuple[int, int]) -> int:
    """How many patches a ratio hides: at least one, and not all."""
    patches = grid[0] * grid[1]
    if patches < 2:
        raise ValueError(f"grid: got {grid} patches, expected at least two, one of them visible")
    return min(max(1, round(ratio * patches)), patches - 1)


def _rectangles(
    corners: Int[Tensor, "b 2"], sides: Int[Tensor, "b 2"], grid: tuple[int, int]
) -> Bool[Tensor, "b rows columns"]:
    """One rectangle a canvas, by its (top, left) and (height, width) in patches."""
    ends = corners + sides
    rows, columns = (torch.arange(side).expand(len(corners), side) for side in grid)
    inside = [
        (places >= corners[:, axis, None]) & (places < ends[:, axis, None])
        for axis, places in enumerate((rows, columns))
    ]
    return inside[0][:, :, None] & inside[1][:, None, :]


def _draw_blocks(
    missing: Int[Tensor, " b"], grid: tuple[int, int], generator: torch.Generator
) -> Bool[Tensor, "b rows columns"]:
    """One of BEiT's blocks a canvas, no larger than what is missing there, or 16 patches."""
    uniform = torch.rand(4, len(missing), generator=generator)
    area = _BLOCK_PATCHES + uniform[0] * (missing - _BLOCK_PATCHES).clamp(min=0)
    ratio = _BLOCK_RATIO ** (2 * uniform[1] - 1)
    limits = torch.tensor(grid)
    sides = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], dim=1).round().long()
    sides = sides.clamp(min=1).minimum(limits)
    corners = (uniform[2:].T * (limits - sides + 1)).long().minimum(limits - sides)
    return _rectangles(corners, sides, grid)
