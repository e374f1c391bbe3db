"""Sides of a mask in sizes that are known beforehand: a graph has no lists of unknown length.

What an example marks is known when a graph is made. What a query shows of itself is not: here that
is always a full list, in which some places stand twice; they weigh nothing, and change no maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.models.matching.cues import BEST, INSIDE, KNOWN, LEAST, MOST, OUTSIDE, Side
from vicl.models.matching.view import COARSE, FINE, MIDDLE

_NEVER: Final = -1e4
"""Added to the likeness to a place that is not there."""

_TURNS: Final = {
    side * side: torch.from_numpy(np.random.default_rng(0).permutation(side * side))
    for side in (COARSE, MIDDLE, FINE)
}
"""Of each grid, in which turn its places are kept."""


@dataclass(frozen=True, eq=False)
class FixedSide:
    """Places of a side, share by share, and their mean.

    Attributes:
        places: Features of length 1, or colours.
        weight: Of each in a mean over all; sums to 1.
        lacking: 0, or where the place is not there far below all likenesses.
        mean: See :class:`vicl.models.matching.cues.Side`.
    """

    places: Float[Tensor, "n c"]
    weight: Float[Tensor, " n"]
    lacking: Float[Tensor, " n"]
    mean: Float[Tensor, " c"]


def fixed(side: Side) -> FixedSide:
    """A side of which all is known."""
    ones = torch.ones(len(side.places)).to(side.places)
    return FixedSide(side.places, ones / len(side.places), 0 * ones, side.mean)


class Known(nn.Module):
    """A side of the examples, as buffers of a graph."""

    places: Tensor
    mean: Tensor

    def __init__(self, side: Side) -> None:
        super().__init__()
        self.register_buffer("places", side.places.clone())
        self.register_buffer("mean", side.mean.clone())

    def forward(self) -> FixedSide:
        """It."""
        return fixed(Side(self.places, self.mean))


def along(weight: Float[Tensor, " n"], rows: Float[Tensor, "n c"]) -> Float[Tensor, " c"]:
    """The sum of rows by weight.

    A product of a transposed matrix and a vector is computed wrongly by onnxruntime 1.32, which
    fuses the two (as if the vector were a matrix); of matrices it is right. So there is none here.
    """
    total: Tensor = weight[None] @ rows
    return total[0]


def likeness(values: Float[Tensor, "k n"], side: FixedSide) -> Float[Tensor, " n"]:
    """Mean of the greatest of each share of the rows."""
    shares = (values + side.lacking[:, None]).reshape(BEST, -1, values.shape[1])
    return shares.amax(1).mean(0)


def near(colours: Float[Tensor, "n c"], side: FixedSide) -> Float[Tensor, " n"]:
    """Minus the distance to the nearest, the mean over the shares of places."""
    places = side.places
    squares = 2 * places @ colours.T - (places**2).sum(1)[:, None] + side.lacking[:, None]
    nearest = squares.reshape(BEST, -1, len(colours)).amax(1) - (colours**2).sum(1)
    apart: Tensor = (-nearest).clamp(min=0).sqrt().mean(0)
    return -apart


def first_of(values: Float[Tensor, " n"], count: Tensor) -> Bool[Tensor, " n"]:
    """The places of the so many greatest values."""
    least = values.topk(len(values)).values[count - 1]
    return values >= least


def chosen_side(rows: Float[Tensor, "n c"], chosen: Bool[Tensor, " n"], most: int) -> FixedSide:
    """Some rows: at most so many of them, spread over the image.

    Which of them does not hang on their order by a value: two that are nearly equal change places
    from one runtime to another, and of a stride through such an order one would stand for the
    other. Here each place has its turn once and for all, so that what is kept changes only where
    something comes in or goes out.

    Args:
        rows: Of a grid, of :data:`_TURNS`.
        chosen: Those that belong to the side.
        most: Places.
    """
    count = chosen.sum().clamp(min=1)
    kept = (count.clamp(max=most) // BEST * BEST).clamp(min=BEST)
    turn = _TURNS[len(rows)].to(rows.device)
    order = torch.where(chosen, -turn, -turn - len(rows)).to(rows).topk(most).indices
    numbers = torch.arange(most, device=rows.device).reshape(-1, BEST).T.flatten()
    at = numbers % kept % count
    weight = (numbers < kept).to(rows) / kept.to(rows)
    mean = along(chosen.to(rows) / count.to(rows), rows)
    return FixedSide(rows[order[at]], weight, torch.zeros_like(weight), F.normalize(mean, dim=0))


def marked_side(
    rows: Float[Tensor, "n c"], *shares: Float[Tensor, " n"]
) -> tuple[FixedSide, Tensor]:
    """The places that the first of some shares marks that marks any; and whether any does."""
    values = shares[-1]
    for earlier in reversed(shares[:-1]):
        values = torch.where(earlier.max() > LEAST, earlier, values)
    most = values.max()
    chosen = values >= torch.clamp(0.6 * most, max=INSIDE)
    return chosen_side(rows, chosen, MOST), most > LEAST


def joined(one: FixedSide, other: FixedSide, there: Bool[Tensor, ""]) -> FixedSide:
    """Both, share by share; the other only where it is there."""
    count = len(one.places)
    kept = torch.where(there, (other.weight > 0).sum(), 0).to(one.weight)
    own = torch.where(there, (other.weight > 0).to(one.weight), 0)

    def both(first: Tensor, second: Tensor) -> Tensor:
        shares = [part.reshape(BEST, -1, *part.shape[1:]) for part in (first, second)]
        return torch.cat(shares, 1).flatten(0, 1)

    weight = both(torch.ones_like(one.weight), own) / (count + kept)
    lacking = both(one.lacking, torch.where(there, other.lacking, _NEVER))
    mean = torch.where(there, F.normalize(one.mean + other.mean, dim=0), one.mean)
    return FixedSide(both(one.places, other.places), weight, lacking, mean)


def marks_on(
    inside: Float[Tensor, "f f"], outside: Float[Tensor, "f f"], side: int
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """See :meth:`vicl.models.matching.cues.Marks.on`."""
    both = F.avg_pool2d(torch.stack([inside, outside])[None], FINE // side)[0]
    known = both.sum(0)
    both = torch.where(known > KNOWN, both / known.clamp(min=KNOWN), 0)
    return both[0].flatten(), both[1].flatten()


def own_sides(
    rows: Float[Tensor, "n c"],
    inside: Float[Tensor, "f f"],
    outside: Float[Tensor, "f f"],
    side: int,
) -> list[tuple[FixedSide, Tensor]]:
    """What a query's own marks teach of one level: what is marked, the rest, and if they are."""
    on, off = marks_on(inside, outside, side)
    apart = torch.where(on <= OUTSIDE, off, 0)
    return [marked_side(rows, on), marked_side(rows, apart, off)]
