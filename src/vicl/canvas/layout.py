"""The geometry of a prompt: which image stands where on the canvas, and where the hole is.

This is `g` of the paper (Bar et al. 2022, arXiv:2209.00647, section 3): examples and query become
one image with a hole.  A :class:`Layout` is pure geometry and holds no pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vicl.canvas.arrangements import ARRANGEMENTS
from vicl.canvas.moves import Move, moved
from vicl.canvas.rects import Fit, Rect, place
from vicl.images import brief_fields, resize, to_tensor
from vicl.prompt import Prompt

Order = Literal["above", "left"]
"""Where the examples stand: above the query (pairs are rows) or left of it (pairs are columns)."""

MIN_CELL_PATCHES = 4
"""An answer cell of a general grid has at least this many patches a side."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A composed prompt.

    Attributes:
        image: Float RGB in [0, 1], (3, H, W); background under the hole.
        hole: Bool, (H, W); True = to fill; made of whole patches.
    """

    image: Float[Tensor, "3 H W"]
    hole: Bool[Tensor, "H W"]

    def __repr__(self) -> str:
        return brief_fields(self)


@dataclass(frozen=True)
class Layout:
    """Where everything stands on a canvas.

    The hole and the answer differ: the hole is made of whole patches, the answer is the part of it
    in which the answer's picture stands.

    Attributes:
        canvas_size: (height, width) in pixels, a multiple of `patch_size`.
        patch_size: Side of the inpainter's patches, in pixels.
        inputs: Cells of the examples' inputs, one an example.
        outputs: Cells of the examples' outputs.
        query: Cell of the query.
        answer: Cell of the answer, inside the hole.
        hole: What is to be filled: whole patches.
        background: Gray level of gaps and margins, in [0, 1].
        fit: How images of other shapes go into the cells.
        resampling: Filter by which images are brought to the cells' size.
        published: Whether the hole may hide part of an example, as the published 3x2 grid's does.
    """

    canvas_size: tuple[int, int]
    patch_size: int
    inputs: tuple[Rect, ...]
    outputs: tuple[Rect, ...]
    query: Rect
    answer: Rect
    hole: Rect
    background: float = 1.0
    fit: Fit = "stretch"
    resampling: Literal["bicubic", "bilinear"] = "bicubic"
    published: bool = False

    def __post_init__(self) -> None:
        whole = Rect(0, 0, *self.canvas_size)
        multiples = (*self.canvas_size, self.hole.top, self.hole.left, *self.hole.size)
        if self.patch_size < 1 or not 0 <= self.background <= 1:
            raise ValueError(
                f"layout: got patches of {self.patch_size} px and the background "
                f"{self.background}, expected at least 1, and 0 to 1"
            )
        if any(value % self.patch_size for value in multiples):
            raise ValueError(
                f"layout: canvas {self.canvas_size} and hole {self.hole} must consist of whole "
                f"patches of {self.patch_size} px"
            )
        if len(self.inputs) != len(self.outputs) or not self.inputs:
            raise ValueError(
                f"layout: got {len(self.inputs)} input and {len(self.outputs)} output cells, "
                "expected as many of one as of the other, at least one"
            )
        cells = self.cells
        for index, cell in enumerate(cells):
            clash = any(cell.overlaps(other) for other in cells[:index])
            if min(cell.size) < 1 or clash or not whole.holds(cell):
                raise ValueError(f"layout: {cell} is empty, overlaps another or leaves the canvas")
        if not self.hole.holds(self.answer) or not whole.holds(self.hole):
            raise ValueError(f"layout: hole {self.hole} must hold the answer {self.answer}")
        shown = [cell for cell in cells if cell != self.answer]
        if not self.published and any(self.hole.overlaps(cell) for cell in shown):
            raise ValueError(f"layout: hole {self.hole} hides part of an example or the query")
        place((1, 1), (1, 1), self.fit)

    @property
    def examples(self) -> int:
        """How many examples it shows."""
        return len(self.inputs)

    @property
    def cells(self) -> tuple[Rect, ...]:
        """All cells: inputs, outputs, query, answer."""
        return (*self.inputs, *self.outputs, self.query, self.answer)

    @classmethod
    def paper(cls, examples: int = 1) -> Layout:
        """The published grids on 224x224 with patches of 16, to the pixel.

        Two rows for one example: cells of 111 px, 2 px of white between them, the hole the last
        7x7 patches. Three rows for two (the synthetic study): cells of 74 px on black; this hole
        also hides the last 5 rows of the second example's output, and serves parity only.

        Raises:
            ValueError: If `examples` is neither 1 nor 2.

        Source: Bar et al. 2022, section 4 and the published evaluation code.
        """
        if examples == 1:
            cells = [Rect(top, left, 111, 111) for top in (0, 113) for left in (0, 113)]
            return cls((224, 224), 16, *_pairs(cells), hole=Rect(112, 112, 112, 112))
        if examples == 2:
            cells = [Rect(top, left, 74, 74) for top in (0, 75, 150) for left in (37, 113)]
            return cls(
                (224, 224),
                16,
                *_pairs(cells),
                hole=Rect(144, 112, 80, 80),
                background=0.0,
                resampling="bilinear",
                published=True,
            )
        raise ValueError(
            f"examples: got {examples}, but only grids with 1 or 2 examples were published; "
            "Layout.grid takes more"
        )

    @classmethod
    def grid(
        cls,
        examples: int = 1,
        *,
        canvas_size: tuple[int, int] = (224, 224),
        patch_size: int = 16,
        order: Order = "above",
        abreast: Literal[1, 2] | None = None,
        gap: int = 2,
        fit: Fit = "stretch",
    ) -> Layout:
        """The general grid: square cells that fill whole patches, centred on a white canvas.

        Args:
            examples: 1 or more; what fits depends on the canvas.
            canvas_size: (height, width), multiples of `patch_size`.
            patch_size: In pixels.
            order: Examples above the query, or left of it (the transposed grid).
            abreast: How many pairs stand side by side; 2 only from 2 examples on. None takes
                whichever gives the larger cells. The query's pair is always the last.
            gap: Pixels between neighbouring cells, even. One example gives the published grid.
            fit: How images of other shapes go into the cells.

        Raises:
            ValueError: If the answer would have fewer than 4x4 patches; it names the largest
                number of examples that fits.
        """
        if order not in ("above", "left"):
            raise ValueError(f"order: got {order!r}, expected 'above' or 'left'")
        if examples < 1 or gap < 0 or gap % 2 or gap >= patch_size:
            raise ValueError(
                f"grid: got examples={examples}, gap={gap}; expected at least one example and an "
                f"even gap below the patch size ({patch_size})"
            )
        if abreast not in (None, 1, 2) or (abreast == 2 and examples < 2):
            raise ValueError(
                f"abreast: got {abreast} for {examples} example(s), expected 1, 2 (from 2 examples "
                "on) or None"
            )
        tall = canvas_size if order == "above" else canvas_size[::-1]
        side, columns = _best_columns(examples, tall, patch_size, abreast)
        if side < MIN_CELL_PATCHES:
            largest = cls.largest(canvas_size, patch_size=patch_size, order=order, abreast=abreast)
            raise ValueError(
                f"examples: {examples} do not fit on a canvas of {canvas_size} px with patches of "
                f"{patch_size} px, where a cell must have {MIN_CELL_PATCHES}x{MIN_CELL_PATCHES} "
                f"patches; the largest number that fits is {largest}"
            )
        blocks = _blocks(examples, tall, patch_size, side, columns)
        # The published 2x2 grid stands flush with the canvas: only inner edges give way to the gap.
        flush = columns == 2 and examples == 1
        half = gap // 2
        middle = blocks[-1].top, blocks[-1].left
        cells = []
        for block in blocks:
            top = 0 if flush and block.top < middle[0] else half
            left = 0 if flush and block.left < middle[1] else half
            lost = half if flush else gap
            side_px = block.height - lost
            cells.append(Rect(block.top + top, block.left + left, side_px, side_px))
        layout = cls(tall, patch_size, *_pairs(cells), hole=blocks[-1], fit=fit)
        return layout if order == "above" else layout.arranged(8)

    @staticmethod
    def largest(
        canvas_size: tuple[int, int] = (224, 224),
        *,
        patch_size: int = 16,
        order: Order = "above",
        abreast: Literal[1, 2] | None = None,
    ) -> int:
        """The largest number of examples, up to 8, that :meth:`grid` fits on a canvas; or 0."""
        tall = canvas_size if order == "above" else canvas_size[::-1]
        fitting = [
            n
            for n in range(1, 9)
            if _best_columns(n, tall, patch_size, abreast if n > 1 else None)[0] >= MIN_CELL_PATCHES
        ]
        return max(fitting, default=0)

    @classmethod
    def strip(
        cls,
        examples: int = 1,
        *,
        canvas_size: tuple[int, int] = (256, 256),
        patch_size: int = 16,
        fit: Fit = "stretch",
    ) -> Layout:
        """The horizontal strip: input, output, ..., query and, last, the hole.

        Cells are as high as the canvas and equally wide; columns of patches that are left over
        stand blank at the left.

        Raises:
            ValueError: If a cell would be under one patch wide; it names the largest number of
                examples that fits.

        Source: the convolutional variant of the paper (see README, "Engines").
        """
        columns = canvas_size[1] // patch_size
        width = columns // (2 * examples + 2) * patch_size if examples > 0 else 0
        if width == 0:
            raise ValueError(
                f"examples: got {examples}, expected 1 to {max(0, columns // 2 - 1)} on a strip of "
                f"{canvas_size[1]} px with patches of {patch_size} px"
            )
        start = columns * patch_size - width * (2 * examples + 2)
        cells = [
            Rect(0, start + index * width, canvas_size[0], width)
            for index in range(2 * examples + 2)
        ]
        return cls(canvas_size, patch_size, *_pairs(cells), hole=cells[-1], fit=fit)

    def arranged(self, arrangement: int) -> Layout:
        """The same grid, laid out another way: see :data:`vicl.canvas.arrangements.ARRANGEMENTS`.

        Raises:
            ValueError: If `arrangement` is not 1 to 8.
        """
        if arrangement not in ARRANGEMENTS:
            raise ValueError(f"arrangement: got {arrangement!r}, expected 1 to 8")
        arrange = ARRANGEMENTS[arrangement]
        canvas = arrange.canvas(self.canvas_size)

        def move(rect: Rect) -> Rect:
            return arrange.move(rect, canvas)

        return replace(
            self,
            canvas_size=canvas,
            inputs=tuple(map(move, self.inputs)),
            outputs=tuple(map(move, self.outputs)),
            query=move(self.query),
            answer=move(self.answer),
            hole=move(self.hole),
        )

    def compose(self, prompt: Prompt) -> Canvas:
        """Draw a prompt on the canvas.

        Args:
            prompt: As many examples as the layout shows; outputs are images (see
                :meth:`vicl.tasks.Task.draw`).

        Raises:
            ValueError: If the number of examples differs from the layout's.
        """
        return next(self.compose_moved(prompt, [(0, 0)]))

    def compose_moved(self, prompt: Prompt, moves: Sequence[Move]) -> Iterator[Canvas]:
        """Draw a prompt on a canvas for each move of its pictures inside their cells, one by one.

        Args:
            prompt: As for :meth:`compose`.
            moves: See :func:`vicl.canvas.moves.moved`.

        Raises:
            ValueError: As for :meth:`compose`.
        """
        if len(prompt.examples) != self.examples:
            raise ValueError(
                f"prompt: got {len(prompt.examples)} example(s), expected {self.examples}, which "
                "is what the layout shows"
            )
        cells = (*self.inputs, *self.outputs, self.query)
        pictures = (
            *(example.input for example in prompt.examples),
            *(example.output for example in prompt.examples),
            prompt.query,
        )
        drawn = [
            self.draw(to_tensor(picture), cell)
            for picture, cell in zip(pictures, cells, strict=True)
        ]
        hole = torch.zeros(self.canvas_size, dtype=torch.bool)
        self.hole.of(hole)[:] = True
        for by in moves:
            image = torch.full((3, *self.canvas_size), self.background)
            for picture, cell in zip(drawn, cells, strict=True):
                cell.of(image)[:] = moved(picture, by)
            self.hole.of(image)[:] = self.background
            yield Canvas(image, hole)

    def draw(self, image: Float[Tensor, "3 h w"], cell: Rect) -> Float[Tensor, "3 ch cw"]:
        """An image as it stands in a cell: resized as Pillow does, black where `fit` pads."""
        placement = place((image.shape[1], image.shape[2]), cell.size, self.fit)
        part = resize(placement.image.of(image), placement.cell.size, filter=self.resampling)
        if part.shape[1:] == cell.size:
            return part
        drawn = torch.zeros(3, *cell.size)
        placement.cell.of(drawn)[:] = part
        return drawn

    def undraw(
        self,
        values: Float[Tensor, "c ch cw"],
        size: tuple[int, int],
        enlarge: Callable[[Tensor, Rect], Tensor],
    ) -> Float[Tensor, "c h w"]:
        """Bring what stands in the answer's cell back to the query's own frame.

        Args:
            values: Of the answer's cell.
            size: (h, w) of the query.
            enlarge: Brings values (c, a, b) to the size of the given part of the query.

        Returns:
            The values at the query's size; 0 outside the part of the query that the cell shows.
        """
        placement = place(size, self.answer.size, self.fit)
        part = enlarge(placement.cell.of(values), placement.image)
        if part.shape[1:] == size:
            return part
        whole = torch.zeros(values.shape[0], *size)
        placement.image.of(whole)[:] = part
        return whole

    def crop(self, image: Float[Tensor, "*c H W"]) -> Float[Tensor, "*c h w"]:
        """The answer's cell of a filled canvas."""
        return self.answer.of(image)


def _pairs(cells: list[Rect]) -> tuple[tuple[Rect, ...], tuple[Rect, ...], Rect, Rect]:
    """Split cells in reading order (input, output, ..., query, answer) by their role."""
    return tuple(cells[:-2:2]), tuple(cells[1:-2:2]), cells[-2], cells[-1]


def _best_columns(
    examples: int, canvas_size: tuple[int, int], patch_size: int, abreast: int | None
) -> tuple[int, int]:
    """Side of a cell in patches, and cells in a row, for examples above the query."""
    rows_p, columns_p = (side // patch_size for side in canvas_size)
    options = (1, 2) if abreast is None and examples >= 2 else (abreast or 1,)
    sides = {
        pairs: min(rows_p // -(-(examples + 1) // pairs), columns_p // (2 * pairs))
        for pairs in options
    }
    best = max(sides, key=lambda pairs: (sides[pairs], -pairs))
    return sides[best], 2 * best


def _blocks(
    examples: int, canvas_size: tuple[int, int], patch_size: int, side: int, columns: int
) -> list[Rect]:
    """The cells' whole patches in reading order, centred on the canvas.

    Where a place for a pair is left over, it is the first of the last row, so that the answer
    stands last in raster order.
    """
    pairs = columns // 2
    rows = -(-(examples + 1) // pairs)
    height, width = (length // patch_size for length in canvas_size)
    top, left = (height - rows * side) // 2, (width - columns * side) // 2
    slots = [(row, pair) for row in range(rows) for pair in range(pairs)]
    missing = len(slots) - (examples + 1)
    if missing:
        slots.remove((rows - 1, 0))
    return [
        Rect(
            (top + row * side) * patch_size,
            (left + (2 * pair + half) * side) * patch_size,
            side * patch_size,
            side * patch_size,
        )
        for row, pair in slots
        for half in (0, 1)
    ]
