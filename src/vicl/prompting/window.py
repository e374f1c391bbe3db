"""Asking an inpainter for so many prompts at a time: canvases filled in chunks, then fused."""

from __future__ import annotations

import math
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
from vicl.engine import Filled, Inpainter, TokenInpainter, View, rank, same_picture, seed_of_draw
from vicl.images import resize_map, to_tensor
from vicl.images.upsampling import upsample
from vicl.models.tokens import hole_tokens
from vicl.prompt import Prompt
from vicl.prompting.batching import Chunks
from vicl.prompting.fusing import (
    ANSWER_FUSIONS,
    TOKEN_FUSIONS,
    Shows,
    TokenFusion,
    agreement,
    fuse_logits,
    is_empty,
    likelihood_weights,
    mean_answer,
    mean_of,
    mean_of_given,
    pixel_vote,
)
from vicl.prompting.member import Member
from vicl.prompting.settings import PromptSettings

R = TypeVar("R")

DRAWS_PER_SAMPLE = 4
"""How often an answer is drawn for each that was asked for, at most, before an engine that repeats
itself is taken to have no more."""


FIRST_VIEWS = 2
"""How many views are asked before it is looked whether they agree."""


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


_Draft = tuple[_Ask, Int[Tensor, " n"], Float[Tensor, " p"]]
"""A canvas, the tokens to draw on it, and how likely those of the hole are, in logarithms."""


class Window:
    """So many prompts as are asked together.

    Args:
        inpainter: What fills the holes.
        settings: How it is asked.
        moves: Of each member's pictures; the first is none.
        prompts: As many as should be held at once.
        plan: Gives a prompt's members; raises a ValueError where it has none.
        chunks: How many canvases go through the inpainter at once.
        shows: What the answers show.
    """

    def __init__(
        self,
        inpainter: Inpainter,
        settings: PromptSettings,
        moves: Sequence[Move],
        prompts: Sequence[Prompt],
        plan: Callable[[Prompt], list[Member]],
        chunks: Chunks,
        *,
        shows: Shows,
    ) -> None:
        self._inpainter, self._settings, self._chunks = inpainter, settings, chunks
        self._shows = shows
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

    def _asks(self, owners: Iterable[int], moves: Sequence[Move], numbers: slice) -> Iterator[_Ask]:
        """The canvases of some members of prompts, composed when they are asked for."""
        for owner in owners:
            try:
                for number, member in [*enumerate(self._members[owner])][numbers]:
                    for move, canvas in enumerate(member.canvases(moves)):
                        yield _Ask(owner, number, move, canvas)
            except (ValueError, OSError) as error:
                self._errors[owner] = error

    def _fused_images(self, samples: int, seed: int) -> dict[int, list[Filled]]:
        """The answers to each prompt, the likeliest first, then those drawn at random.

        These are compared with the likeliest answer without a move, not with a mean over moves.
        """
        likeliest = self._asked(self._moves, self._fill, self._agreed)
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
            fill = partial(self._fill, seed=seed_of_draw(seed, draw))
            drawn = self._run(owners, self._moves[:1], fill)
            for owner, cells in drawn.items():
                answer = self._fused(owner, cells)
                if not any(same_picture(answer, other) for other in still[owner]):
                    still[owner].append(answer)
        return {owner: [found[owner][0], *still[owner][1:]] for owner in found}

    def _asked(
        self,
        moves: Sequence[Move],
        function: Callable[[Sequence[_Ask]], list[R]],
        agreed: Callable[[int, list[list[R]]], float],
    ) -> dict[int, list[list[R]]]:
        """Ask for all prompts, of each all members; where `agree` is set, until they agree.

        Those that are not asked are no members any more.

        Args:
            moves: See :meth:`_run`.
            function: See :meth:`_run`.
            agreed: How far a prompt's results so far, at least, agree with what is fused of them.
        """
        agree = self._settings.agree
        if agree is None:
            return self._run(self._members, moves, function)
        found: dict[int, list[list[R]]] = {}
        undecided, asked = [*self._members], 0
        while undecided:
            upto = max(FIRST_VIEWS, asked + 1)
            for owner, results in self._run(undecided, moves, function, slice(asked, upto)).items():
                found.setdefault(owner, []).extend(results)
            asked = upto
            undecided = [
                owner
                for owner in undecided
                if owner not in self._errors
                and asked < len(self._members[owner])
                and agreed(owner, found[owner]) < agree
            ]
        whole = {owner: several for owner, several in found.items() if owner not in self._errors}
        self._members |= {o: self._members[o][: len(several)] for o, several in whole.items()}
        return whole

    def _run(
        self,
        owners: Iterable[int],
        moves: Sequence[Move],
        function: Callable[[Sequence[_Ask]], list[R]],
        numbers: slice = slice(None),
    ) -> dict[int, list[list[R]]]:
        """What a function makes of the canvases of prompts: of each, of each member, of each move.

        A prompt of which one canvas fails has its error instead; `numbers` are those of the members
        that are asked.
        """
        found: dict[int, dict[int, list[R]]] = {}
        asks = self._asks([o for o in owners if o not in self._errors], moves, numbers)
        for ask, result in self._chunks.run(asks, function):
            if isinstance(result, Exception):
                self._errors.setdefault(ask.owner, result)
            elif ask.owner not in self._errors:
                found.setdefault(ask.owner, {}).setdefault(ask.member, []).append(result)
        return {o: [*several.values()] for o, several in found.items() if o not in self._errors}

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
        if likely is None and self._settings.fuse == "weighted":
            raise ValueError(
                f"fuse: got 'weighted', but {self._inpainter.name} gives no likelihood of its "
                "answers; they can be fused as 'answers', 'images' or 'vote'"
            )
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
        if self._settings.fuse in ANSWER_FUSIONS:
            answers = [
                self._enlarged(owner, member.layout, cell)
                for member, cell in zip(members, means, strict=True)
            ]
            fused = mean_answer(answers, self._weights(owner, means))
        else:
            mean = _Cell(
                image=self._fused_cell(owner, [cell.image for cell in means], means),
                confidence=mean_of_given([cell.confidence for cell in means]),
                log_likelihood=mean_of_given([cell.log_likelihood for cell in means]),
                canvas=means[0].canvas,
            )
            fused = self._enlarged(owner, members[0].layout, mean)
        likelihoods = [cell.log_likelihood for cell in means]
        agreements = self._agreements(owner, cells)
        return replace(fused, views=self._views(owner, likelihoods, agreements))

    def _fused_cell(
        self, owner: int, pictures: Sequence[Tensor], cells: Sequence[_Cell]
    ) -> Float[Tensor, "3 h w"]:
        """The picture that the pictures of cells, of one size, become."""
        if self._settings.fuse == "vote" and len(pictures) > 1:
            return pixel_vote(torch.stack([*pictures]), self._shows)
        return mean_of(pictures, self._weights(owner, cells))

    def _agreements(self, owner: int, cells: Sequence[Sequence[_Cell]]) -> list[float]:
        """How far each member's cell agrees with the fused one; all at the first one's size."""
        if len(cells) == 1:
            return [1.0]
        means = [self._mean_of_moves(moved) for moved in cells]
        height, width = means[0].image.shape[1:]
        pictures = [resize_map(cell.image, (height, width)) for cell in means]
        fused = self._fused_cell(owner, pictures, means)
        return [agreement(picture, fused, self._shows) for picture in pictures]

    def _agreed(self, owner: int, cells: Sequence[Sequence[_Cell]]) -> float:
        """The least agreement; 0 where all are empty: nothing found is no finding to agree on."""
        if all(is_empty(self._mean_of_moves(moved).image, self._shows) for moved in cells):
            return 0.0
        return min(self._agreements(owner, cells))

    def _views(
        self,
        owner: int,
        log_likelihoods: Sequence[Tensor | None],
        agreements: Sequence[float],
    ) -> tuple[View, ...]:
        """What is told of a prompt's members; nothing of one alone."""
        members = self._members[owner]
        if len(members) == 1:
            return ()
        return tuple(
            View(
                member.examples,
                member.arrangement,
                None if likelihood is None else float(likelihood),
                agreed,
            )
            for member, likelihood, agreed in zip(members, log_likelihoods, agreements, strict=True)
        )

    def _weights(self, owner: int, cells: Sequence[_Cell]) -> Float[Tensor, " m"] | None:
        """How much the answers of a prompt's members count; None where all count alike."""
        if self._settings.fuse != "weighted":
            return None
        side = self._inpainter.patch_size
        means = [
            cell.log_likelihood / (math.prod(member.layout.hole.size) // side**2)
            for member, cell in zip(self._members[owner], cells, strict=False)
            if cell.log_likelihood is not None
        ]
        return likelihood_weights(torch.stack(means))

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
        chosen, views = [], {}

        def agreed(owner: int, members: Sequence[Sequence[_Scored]]) -> float:
            draft, agreements = _drafted([scored for (scored,) in members], fuse)
            if self._shows == "mask" and min(agreements) >= cast(float, self._settings.agree):
                ((_, canvas),) = self._chunks.run([draft], self._decode)
                layout = self._members[owner][0].layout
                if isinstance(canvas, Tensor) and is_empty(layout.crop(canvas), self._shows):
                    return 0.0
            return min(agreements)

        for owner, members in self._asked(self._moves[:1], self._score, agreed).items():
            several = [scored for (scored,) in members]
            draft, agreements = _drafted(several, fuse)
            likelihoods = [one.logits.log_softmax(-1).amax(-1).sum() for one in several]
            views[owner] = self._views(owner, likelihoods, agreements)
            chosen.append(draft)
        for (ask, _, best), canvas in self._chunks.run(chosen, self._decode):
            if isinstance(canvas, Exception):
                self._errors[ask.owner] = canvas
            else:
                answer = self._read(ask, best, canvas)
                yield ask.owner, replace(answer, views=views[ask.owner])

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
    def _decode(self, chosen: Sequence[_Draft]) -> list[Tensor]:
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


def _drafted(several: Sequence[_Scored], fuse: TokenFusion) -> tuple[_Draft, list[float]]:
    """The tokens of the hole that are likeliest by several canvases, on the first one's.

    And for each canvas the share of the places where it alone would choose the same one.
    """
    first = several[0]
    fused = fuse_logits(torch.stack([one.logits for one in several]), fuse)  # (p, k)
    best, inside = fused.max(dim=-1)
    own = [one.logits.argmax(dim=-1) for one in several]
    tokens = first.tokens.clone()
    tokens[first.inside] = inside
    return (first.ask, tokens, best), [float((o == inside).float().mean()) for o in own]


def _stacked(asks: Sequence[_Ask]) -> tuple[Tensor, Tensor]:
    """Images (m, 3, H, W) and holes (m, H, W)."""
    return (
        torch.stack([ask.canvas.image for ask in asks]),
        torch.stack([ask.canvas.hole for ask in asks]),
    )
