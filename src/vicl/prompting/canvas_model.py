"""An inpainter on a layout: compose, inpaint, crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Generator, Tensor

from vicl.canvas.layout import Layout
from vicl.canvas.moves import Move, mean_of_moved, moves_within
from vicl.canvas.rects import Fit, Rect
from vicl.engine import Filled, Inpainter, Sampling, rank, same_picture
from vicl.images import to_tensor
from vicl.images.upsampling import Upsampling, upsample
from vicl.prompt import Prompt

DRAWS_PER_SAMPLE = 4
"""How often an answer is drawn for each that was asked for, at most, before an engine that repeats
itself is taken to have no more."""


@dataclass(frozen=True, eq=False)
class CanvasModel:
    """An inpainter on a layout: compose, inpaint, crop.

    Attributes:
        inpainter: What fills the hole.
        layout: The grid to use; None takes the general grid for each prompt's number of
            examples. Where more examples come than the layout (or the canvas) holds, they are
            answered in groups and the answers averaged.
        fit: How images of other shapes go into the general grid's cells; a given layout has its
            own.
        spins: Steps along each axis by which a prompt is asked again, moved by parts of a patch
            (see :mod:`vicl.canvas.moves`): `spins` squared canvases a prompt. None: as the
            inpainter's attribute `spins` says, where it has one, else 1. An answer's likelihood is
            that of its canvas without a move. Of answers that are drawn at random none is a mean.
        upsampling: How the cell's answer is brought to the query's size.
        sampling: How answers after the first are drawn, where several are asked for. The first
            is the likeliest at every place.
    """

    inpainter: Inpainter
    layout: Layout | None = None
    fit: Fit = "stretch"
    spins: int | None = None
    upsampling: Upsampling = "guided"
    max_size: int | None = None
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        wanted = (self.inpainter.canvas_size, self.inpainter.patch_size)
        if self.layout is not None and wanted != (
            self.layout.canvas_size,
            self.layout.patch_size,
        ):
            raise ValueError(
                f"layout: got a canvas of {self.layout.canvas_size} px with patches of "
                f"{self.layout.patch_size} px, expected {wanted[0]} and {wanted[1]}, which is what "
                f"{self.inpainter.name} takes"
            )

        self._moves()

    @property
    def name(self) -> str:
        """The inpainter's."""
        return self.inpainter.name

    @property
    def weights_hash(self) -> str | None:
        """The inpainter's."""
        return self.inpainter.weights_hash

    def _moves(self) -> list[Move]:
        """The moves of a prompt's pictures; the first is none."""
        spins = getattr(self.inpainter, "spins", 1) if self.spins is None else self.spins
        return moves_within(self.inpainter.patch_size, spins=spins)

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`InContextModel.answer`."""
        groups = [(index, part) for index, p in enumerate(prompts) for part in self._groups(p)]
        layouts = [self._layout(len(part.examples)) for _, part in groups]
        moves = self._moves()
        canvases = [
            layout.compose_moved(part, moves)
            for layout, (_, part) in zip(layouts, groups, strict=True)
        ]

        def fill(rows: Sequence[int], spin: int, generators: list[Generator] | None) -> Filled:
            asked = [canvases[row][spin] for row in rows]
            return self.inpainter.inpaint(
                torch.stack([canvas.image for canvas in asked]),
                torch.stack([canvas.hole for canvas in asked]),
                sampling=self.sampling,
                generators=generators,
            )

        def read(fills: Sequence[Filled], index: int, row: int) -> Filled:
            return self._read(fills, index, moves, layouts[row], to_tensor(groups[row][1].query))

        found: list[list[Filled]] = [[] for _ in prompts]
        fills: list[Filled] = []
        for draw in range(samples if samples == 1 else DRAWS_PER_SAMPLE * samples):
            # Prompts that have as many answers as asked for are left alone.
            rows = [r for r, (owner, _) in enumerate(groups) if len(found[owner]) < samples]
            if not rows:
                break
            # Each prompt has generators of its own, so that its answer is the one it gets alone.
            seeds = [Generator().manual_seed(seed * 1_000_003 + draw) for _ in rows]
            filled = fill(rows, 0, seeds if draw else None)
            fills = fills or [filled]
            answers: dict[int, list[Filled]] = {}
            for index, row in enumerate(rows):
                answers.setdefault(groups[row][0], []).append(read([filled], index, row))
            for owner, parts in answers.items():
                answer = _mean(parts)
                if not any(same_picture(answer, other) for other in found[owner]):
                    found[owner].append(answer)
        if len(moves) > 1:
            # After the draws, which are compared with the likeliest answer and not with a mean.
            fills += [fill(range(len(groups)), spin, None) for spin in range(1, len(moves))]
            spun: list[list[Filled]] = [[] for _ in prompts]
            for row, (owner, _) in enumerate(groups):
                spun[owner].append(read(fills, row, row))
            for several, parts in zip(found, spun, strict=True):
                several[0] = _mean(parts)
        return [rank(several) for several in found]

    def _groups(self, prompt: Prompt) -> list[Prompt]:
        """The prompt, or, where it has more examples than fit, prompts that share them out."""
        fitting = self.layout.examples if self.layout else most_examples(self.inpainter)
        count = len(prompt.examples)
        if self.layout is not None and count % fitting:
            raise ValueError(
                f"examples: got {count}, but the layout shows {fitting}; give a multiple of it, or "
                "no layout"
            )
        rounds = -(-count // max(1, fitting))
        cuts = [count * index // rounds for index in range(rounds + 1)]
        return [Prompt(prompt.examples[start:stop], prompt.query) for start, stop in pairwise(cuts)]

    def _layout(self, examples: int) -> Layout:
        return self.layout or Layout.grid(
            examples,
            canvas_size=self.inpainter.canvas_size,
            patch_size=self.inpainter.patch_size,
            fit=self.fit,
        )

    def _read(
        self,
        fills: Sequence[Filled],
        index: int,
        moves: Sequence[Move],
        layout: Layout,
        query: Tensor,
    ) -> Filled:
        """Take one answer out of each of the fills and bring their mean to the query's size."""
        size = (query.shape[1], query.shape[2])

        def enlarge(values: Tensor, part: Rect) -> Tensor:
            return upsample(values, part.size, guide=part.of(query), method=self.upsampling)

        def mean(values: Sequence[Tensor]) -> Tensor:
            return mean_of_moved([layout.crop(one) for one in values], moves[: len(values)])

        cell = mean([one.image[index] for one in fills])
        canvas = fills[0].image[index].clone()
        layout.answer.of(canvas)[:] = cell
        sure = [one.confidence[index] for one in fills if one.confidence is not None]
        likelihood = fills[0].log_likelihood
        return Filled(
            image=layout.undraw(cell, size, enlarge),
            confidence=layout.undraw(mean(sure)[None], size, enlarge)[0] if sure else None,
            log_likelihood=None if likelihood is None else likelihood[index],
            cell=cell,
            canvas=canvas,
        )


def most_examples(inpainter: Inpainter) -> int:
    """How many examples the general grid shows an inpainter at once.

    As many as fit on its canvas, or as its attribute `most_examples` says, where it has one.
    """
    fitting = Layout.largest(inpainter.canvas_size, patch_size=inpainter.patch_size)
    return min(fitting, getattr(inpainter, "most_examples", None) or fitting)


def even_share(inpainter: Inpainter, examples: int) -> int:
    """How many of so many examples a canvas is to show, if each is to show as many.

    All; or, where the inpainter says by `most_examples` that it was trained on fewer, the most that
    share them out evenly.
    """
    most = getattr(inpainter, "most_examples", None) or examples
    return max(n for n in range(1, min(most, examples) + 1) if examples % n == 0)


def _mean(answers: Sequence[Filled]) -> Filled:
    """Average the answers that groups of examples give to one query."""
    if len(answers) == 1:
        return answers[0]

    def mean(values: Sequence[Tensor | None]) -> Tensor | None:
        given = [value for value in values if value is not None]
        return torch.stack(given).mean(dim=0) if len(given) == len(values) else None

    image = torch.stack([answer.image for answer in answers]).mean(dim=0)
    sizes = {answer.cell.shape for answer in answers if answer.cell is not None}
    return Filled(
        image=image,
        confidence=mean([answer.confidence for answer in answers]),
        log_likelihood=mean([answer.log_likelihood for answer in answers]),
        cell=mean([answer.cell for answer in answers]) if len(sizes) == 1 else None,
        canvas=answers[0].canvas,
    )
