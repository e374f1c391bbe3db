"""A dataset and an inpainter whose answers are known beforehand."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.engine import Filled, Sampling
from vicl.evaluation.episodes import Case, Episode, Item, Measures, Truth
from vicl.models.tokens import hole_tokens
from vicl.prompt import Example, Prompt
from vicl.tasks import TaskName

SIDE = 4
"""The toy's masks are of this many squares a side."""
SIZE = 32
"""Side of its pictures, in pixels."""


def squares(rng: np.random.Generator) -> Tensor:
    """A black-and-white picture (3, 32, 32) of 4x4 squares, half of them white."""
    white = rng.permutation(SIDE * SIDE) < SIDE * SIDE // 2
    small = torch.from_numpy(white.reshape(SIDE, SIDE)).float()
    return (
        small.repeat_interleave(SIZE // SIDE, 0).repeat_interleave(SIZE // SIDE, 1).repeat(3, 1, 1)
    )


@dataclass(frozen=True)
class Toy:
    """Queries show their own mask, in red and white where `tinted`, so that they can be found.

    Attributes:
        flipped: Share of the squares that are wrong in an example's output, which is else the
            query's own truth; None makes examples that have nothing to do with it.
    """

    task: TaskName = "segmentation"
    flipped: float | None = None
    name: str = "toy"
    fingerprint: str = "0" * 64

    @property
    def measures(self) -> Measures:
        return self.task

    def episodes(
        self, count: int | None = None, *, seed: int = 0, examples: int = 1
    ) -> list[Episode]:
        return [
            Episode(
                self.name,
                self.task,
                seed,
                index,
                tuple(Item(f"{index}/{n}") for n in range(examples)),
                Item(f"{index}/query"),
            )
            for index in range(count or 10)
        ]

    def load(self, episode: Episode) -> Case:
        rng = np.random.default_rng([episode.seed, episode.index])
        truth = squares(rng)
        query = truth.clone()
        query[0] = 1.0  # red where black: no example has that colour
        pairs = [self._example(rng, truth) for _ in episode.examples]
        return Case(Prompt(pairs, query), Truth(truth))

    def _example(self, rng: np.random.Generator, truth: Tensor) -> Example:
        if self.flipped is None:
            mask = squares(rng)
            return Example(mask, mask)
        small = truth[:, :: SIZE // SIDE, :: SIZE // SIDE]
        wrong = torch.from_numpy(rng.random((SIDE, SIDE)) < self.flipped)
        small = torch.where(wrong, 1 - small, small)
        output = F.interpolate(small[None], size=(SIZE, SIZE), mode="nearest")[0]
        return Example(output, output)


@dataclass
class Finder:
    """Fills a hole with the mask that the red query shows, wherever that stands, and with noise.

    Its tokens are 0 for black and 1 for white, one a patch of 8 px. Each canvas has noise of its
    own, so that canvases which show the same in other places err in other ways.

    Attributes:
        noise: Deviation of the noise in the scores, whose signal is 1.
        skill: How well an answer succeeds, by where the query stands from the hole: the factor of
            the signal for (rows, columns) in patches; 1 where it is not given.
    """

    noise: float = 0.0
    skill: Callable[[int, int], float] = lambda rows, columns: 1.0
    canvas_size: tuple[int, int] = (64, 64)
    patch_size: int = 8
    name: str = "finder"
    weights_hash: str | None = None
    most_examples: int | None = None
    spins: int = 1
    fills_by_scores: bool = True

    def token_logits(self, image: Tensor, hole: Tensor) -> Tensor:
        return torch.stack([self._score(*one) for one in zip(image, hole, strict=True)])

    def decode(self, tokens: Tensor, image: Tensor, hole: Tensor) -> Tensor:
        grid = tokens.view(-1, 1, *(side // self.patch_size for side in self.canvas_size))
        drawn = F.interpolate(grid.float(), size=self.canvas_size, mode="nearest")
        return torch.where(hole[:, None], drawn.expand(-1, 3, -1, -1), image)

    def inpaint(
        self,
        image: Tensor,
        hole: Tensor,
        *,
        sampling: Sampling | None = None,
        generators: Sequence[Generator] | None = None,
    ) -> Filled:
        sure, tokens = self.token_logits(image, hole).log_softmax(dim=-1).max(dim=-1)
        likelihood = sure.masked_fill(~hole_tokens(hole, self.patch_size), 0).sum(dim=1)
        grid = sure.exp().view(-1, 1, *(side // self.patch_size for side in self.canvas_size))
        confidence = F.interpolate(grid, size=self.canvas_size, mode="nearest")[:, 0]
        return Filled(self.decode(tokens, image, hole), confidence, likelihood)

    def _score(self, image: Tensor, hole: Tensor) -> Tensor:
        patches = F.avg_pool2d(image[None], self.patch_size)[0]  # (3, rows, columns)
        open_ = F.avg_pool2d(hole[None, None].float(), self.patch_size)[0, 0] == 1
        # Gaps are white, and so is what is under the hole; red stays above, green differs.
        red = (patches[0] - patches[1] > 0.3) & ~open_
        scores = torch.zeros(*open_.shape, 2)
        if bool(red.any()):
            top, left, height, width = _bounds(open_)
            rows, columns = torch.where(red)
            up, across = _nearest(rows, columns, top, left, height, width)
            seen = patches[1, up : up + height, across : across + width]
            part = self.skill(up - top, across - left) * (2 * seen - 1)
            scores[top : top + height, left : left + width, 1] = part
        content = zlib.crc32(image.mul(255).round().byte().numpy().tobytes())
        noise = torch.randn(scores.shape, generator=Generator().manual_seed(content))
        return (scores + self.noise * noise).flatten(0, 1)


def _bounds(places: Tensor) -> tuple[int, int, int, int]:
    rows, columns = torch.where(places)
    top, left = int(rows.min()), int(columns.min())
    return top, left, int(rows.max()) + 1 - top, int(columns.max()) + 1 - left


def _nearest(
    rows: Tensor, columns: Tensor, top: int, left: int, height: int, width: int
) -> tuple[int, int]:
    """Where the query's cell begins: beside the hole, in its row or in its column."""
    places = [(top, left - width), (top, left + width), (top - height, left), (top + height, left)]

    def red_inside(place: tuple[int, int]) -> int:
        inside = (rows >= place[0]) & (rows < place[0] + height)
        return int((inside & (columns >= place[1]) & (columns < place[1] + width)).sum())

    return max(places, key=red_inside)


def called(*models: Any) -> dict[str, Any]:
    """Models by their names."""
    return {model.name: model for model in models}


def scores_of(table: Any, variant: str, engine: str) -> float:
    """The score of one row."""
    (row,) = (row for row in table.rows if (row.variant, row.engine) == (variant, engine))
    return float(row.interval.mean)
