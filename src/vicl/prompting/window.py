"""Asking an inpainter for so many prompts at a time: canvases filled in chunks, then fused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from vicl.canvas.layout import Canvas, Layout
from vicl.canvas.moves import Move, mean_of_moved
from vicl.canvas.rects import Rect
from vicl.engine import Filled, Inpainter, TokenInpainter, rank, same_picture
from vicl.images import to_tensor
from vicl.images.upsampling import upsample
from vicl.models.tokens import hole_tokens
from vicl.prompt import Prompt
from vicl.prompting.batching import Chunks
from vicl.prompting.border import Border
from vicl.prompting.fusing import (
    TOKEN_FUSIONS,
    TokenFusion,
    fuse_logits,
    mean_answer,
    mean_of_given,
)
from vicl.prompting.settings import PromptSettings

R = TypeVar("R")

DRAWS_PER_SAMPLE = 4
"""How often an answer is drawn for each that was asked for, at most, before an engine that repeats
itself is taken to have no more."""


@dataclass(frozen=True, eq=False)
class Member:
    """A share of a prompt's examples on one layout: a view for each of the moves.

    Attributes:
        prompt: The share, and the query.
        layout: With as many examples.
        border: That is added to its cells.
    """

    prompt: Prompt
    layout: Layout
    border: Border | None = None

    def canvases(self, moves: Sequence[Move]) -> Iterator[Canvas]:
        """The canvas of each move; pictures are brought to their cells once."""
        plain = self.layout.compose_moved(self.prompt, moves)
        if self.border is None:
            return plain
        # The border stays where it is while the pictures move.
        on = partial(self.border.on, layout=self.layout)
        return (Canvas(on(canvas.image), canvas.hole) for canvas in plain)


@dataclass(frozen=True, eq=False)
class _Ask:
    """A canvas to fill: whose, which member's, after which move."""

    owner: int
    member: int
    move: int
    canvas: Canvas


@dataclass(frozen=True, eq=False)
class _Cell:
    """What stands in the answer's cell of a filled canvas, and that canvas, where it is kept."""

    image: Float[Tensor, "3 h w"]
    confidence: Float[Tensor, "h w"] | None
    log_likelihood: Float[Tensor, ""] | None
    canvas: Float[Tensor, "3 H W"] | None


@dataclass(frozen=True, eq=False)
class _Scored:
    """What a canvas says of tokens: scores in the hole, and the likeliest of all places."""

    ask: _Ask
    inside: Bool[Tensor, " n"]
    logits: Float[Tensor, "p k"]
    tokens: Int[Tensor, " n"]


class Window:
    """So many prompts as are asked together.

    Args:
        inpainter: What fills the holes.
        settings: How it is asked.
        moves: Of each member's pictures; the first is none.
        prompts: As many as should be held at once.
        plan: Gives a prompt's members; raises a ValueError where it has none.
        chunks: How many canvases go through the inpainter at once.
    """

    def __init__(
        self,
        inpainter: Inpainter,
        settings: PromptSettings,
        moves: Sequence[Move],
        prompts: Sequence[Prompt],
        plan: Callable[[Prompt], list[Member]],
        chunks: Chunks,
    ) -> None:
        self._inpainter, self._settings, self._chunks = inpainter, settings, chunks
        self._moves, self._count = moves, len(prompts)
        self._errors: dict[int, Exception] = {}
        self._members: dict[int, list[Member]] = {}
        self._queries: dict[int, Tensor] = {}
        for owner, prompt in enumerate(prompts):
            try:
                self._queries[owner] = to_tensor(prompt.query)
                self._members[owner] = plan(prompt)
            except (ValueError, OSError) as error:
                self._errors[owner] = error

    def answered(self, samples: int, seed: int) -> Iterator[Filled | Exception]:
        """Ask for all; gives the answers, in order."""
        if self._settings.fuse in TOKEN_FUSIONS:
            found = {o: [f] for o, f in self._fused_tokens(self._settings.fuse)}
        else:
            found = self._fused_images(samples, seed)
        for owner in range(self._count):
            yield self._errors[owner] if owner in self._errors else rank(found[owner])

    def _asks(self, owners: Iterable[int], moves: Sequence[Move]) -> Iterator[_Ask]:
        """The canvases of prompts, composed when they are asked for."""
        for owner in owners:
            try:
                for number, member in enumerate(self._members[owner]):
                    for move, canvas in enumerate(member.canvases(moves)):
                        yield _Ask(owner, number, move, canvas)
            except (ValueError, OSError) as error:
                self._errors[owner] = error

    def _fused_images(self, samples: int, seed: int) -> dict[int, list[Filled]]:
        """The answers to each prompt, the likeliest first, then those drawn at random.

        These are compared with the likeliest answer without a move, not with a mean over moves.
        """
        likeliest = self._run(self._members, self._moves, self._fill)
        found = {owner: [self._fused(owner, cells)] for owner, cells in likeliest.items()}
        if samples == 1:
            return found
        still = found
        if len(self._moves) > 1:
            still = {
                owner: [self._fused(owner, [moved[:1] for moved in cells])]
                for owner, cells in likeliest.items()
            }
        for draw in range(1, DRAWS_PER_SAMPLE * samples):
            # Prompts that have as many answers as asked for are left alone.
            owners = [owner for owner, several in still.items() if len(several) < samples]
            fill = partial(self._fill, seed=seed * 1_000_003 + draw)
            drawn = self._run(owners, self._moves[:1], fill)
            for owner, cells in drawn.items():
                answer = self._fused(owner, cells)
                if not any(same_picture(answer, other) for other in still[owner]):
                    still[owner].append(answer)
        return {owner: [found[owner][0], *still[owner][1:]] for owner in found}

    def _run(
        self,
        owners: Iterable[int],
        moves: Sequence[Move],
        function: Callable[[Sequence[_Ask]], list[R]],
    ) -> dict[int, list[list[R]]]:
        """What a function makes of the canvases of prompts: of each, of each member, of each move.

        A prompt of which one canvas fails has its error instead.
        """
        found: dict[int, list[list[R]]] = {}
        asks = self._asks([owner for owner in owners if owner not in self._errors], moves)
        for ask, result in self._chunks.run(asks, function):
            if isinstance(result, Exception):
                self._errors.setdefault(ask.owner, result)
            elif ask.owner not in self._errors:
                members = found.setdefault(ask.owner, [[] for _ in self._members[ask.owner]])
                members[ask.member].append(result)
        return {owner: results for owner, results in found.items() if owner not in self._errors}

    def _fill(self, asks: Sequence[_Ask], *, seed: int | None = None) -> list[_Cell]:
        """Fill some canvases, at random where there is a seed, and keep what is needed of them."""
        image, hole = _stacked(asks)
        filled = self._inpainter.inpaint(
            image,
            hole,
            sampling=self._settings.sampling,
            # A generator a canvas, so that its answer is the one that it gets alone.
            generators=None if seed is None else [Generator().manual_seed(seed) for _ in asks],
        )
        sure, likely = filled.confidence, filled.log_likelihood
        cells = []
        for row, ask in enumerate(asks):
            layout = self._members[ask.owner][ask.member].layout
            cells.append(
                _Cell(
                    image=layout.crop(filled.image[row]).clone(),
                    confidence=None if sure is None else layout.crop(sure[row]).clone(),
                    log_likelihood=None if likely is None else likely[row],
                    canvas=None if ask.member or ask.move else filled.image[row].clone(),
                )
            )
        return cells

    def _fused(self, owner: int, cells: Sequence[Sequence[_Cell]]) -> Filled:
        """One answer of the cells of all members."""
        members = self._members[owner]
        means = [self._mean_of_moves(moved) for moved in cells]
        if self._settings.fuse == "answers":
            return mean_answer(
                [
                    self._enlarged(owner, member.layout, cell)
                    for member, cell in zip(members, means, strict=True)
                ]
            )
        image = torch.stack([cell.image for cell in means]).mean(dim=0)
        mean = _Cell(
            image=image,
            confidence=mean_of_given([cell.confidence for cell in means]),
            log_likelihood=mean_of_given([cell.log_likelihood for cell in means]),
            canvas=means[0].canvas,
        )
        return self._enlarged(owner, members[0].layout, mean)

    def _mean_of_moves(self, cells: Sequence[_Cell]) -> _Cell:
        """The mean of a member's cells, each moved back."""
        moves = self._moves[: len(cells)]
        sure = [cell.confidence for cell in cells if cell.confidence is not None]
        return replace(
            cells[0],
            image=mean_of_moved([cell.image for cell in cells], moves),
            confidence=mean_of_moved(sure, moves) if sure else None,
        )

    def _enlarged(self, owner: int, layout: Layout, cell: _Cell) -> Filled:
        """Bring a cell to the query's size, and show it on its canvas."""
        query, canvas, sure = self._queries[owner], cell.canvas, cell.confidence
        method = self._settings.upsampling
        size = (query.shape[1], query.shape[2])
        if canvas is not None:
            canvas = canvas.clone()
            layout.answer.of(canvas)[:] = cell.image

        def enlarge(values: Tensor, part: Rect) -> Tensor:
            return upsample(values, part.size, guide=part.of(query), method=method)

        return Filled(
            image=layout.undraw(cell.image, size, enlarge),
            confidence=None if sure is None else layout.undraw(sure[None], size, enlarge)[0],
            log_likelihood=cell.log_likelihood,
            cell=cell.image,
            canvas=canvas,
        )

    def _fused_tokens(self, fuse: TokenFusion) -> Iterator[tuple[int, Filled]]:
        """Draw, on each prompt's first canvas, the tokens that are likeliest by all of them."""
        chosen = []
        for members in self._run(self._members, self._moves[:1], self._score).values():
            several = [scored for (scored,) in members]
            fused = fuse_logits(torch.stack([one.logits for one in several]), fuse)  # (p, k)
            best, inside = fused.max(dim=-1)
            tokens = several[0].tokens.clone()
            tokens[several[0].inside] = inside
            chosen.append((several[0].ask, tokens, best))
        for (ask, _, best), canvas in self._chunks.run(chosen, self._decode):
            if isinstance(canvas, Exception):
                self._errors[ask.owner] = canvas
            else:
                yield ask.owner, self._read(ask, best, canvas)

    @torch.no_grad()
    def _score(self, asks: Sequence[_Ask]) -> list[_Scored]:
        """Score the tokens of some canvases."""
        image, hole = _stacked(asks)
        logits = self._scorer.token_logits(image, hole).float().cpu()  # (m, n, k)
        places = hole_tokens(hole, self._inpainter.patch_size)
        return [
            _Scored(ask, inside, row[inside].clone(), row.argmax(dim=-1))
            for ask, inside, row in zip(asks, places, logits, strict=True)
        ]

    @torch.no_grad()
    def _decode(self, chosen: Sequence[tuple[_Ask, Tensor, Tensor]]) -> list[Tensor]:
        """Draw the tokens that were chosen for some prompts."""
        tokens = torch.stack([one for _, one, _ in chosen])
        return list(self._scorer.decode(tokens, *_stacked([ask for ask, _, _ in chosen])))

    def _read(self, ask: _Ask, best: Float[Tensor, " p"], canvas: Float[Tensor, "3 H W"]) -> Filled:
        """Read a prompt's answer; `best` are the logarithms of its tokens' probabilities."""
        layout, side = self._members[ask.owner][ask.member].layout, self._inpainter.patch_size
        rows, columns = (length // side for length in layout.hole.size)
        sure = best.exp().view(rows, columns)
        sure = sure.repeat_interleave(side, dim=0).repeat_interleave(side, dim=1)
        inner = Rect(
            layout.answer.top - layout.hole.top,
            layout.answer.left - layout.hole.left,
            *layout.answer.size,
        )
        cell = _Cell(layout.crop(canvas).clone(), inner.of(sure), best.sum(), canvas)
        return self._enlarged(ask.owner, layout, cell)

    @property
    def _scorer(self) -> TokenInpainter:
        """The inpainter, which fuses tokens: see `fuses_tokens`."""
        return cast(TokenInpainter, self._inpainter)


def _stacked(asks: Sequence[_Ask]) -> tuple[Tensor, Tensor]:
    """Images (m, 3, H, W) and holes (m, H, W)."""
    return (
        torch.stack([ask.canvas.image for ask in asks]),
        torch.stack([ask.canvas.hole for ask in asks]),
    )
