"""Cues: for every place of the query, how it matches what the examples mark and what they do not.

All cues are free of classes: they are likenesses, never features, so that a head that reads them
carries over to things that it never saw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.models.matching.view import COARSE, FINE, LEVELS, MIDDLE, View, smooth

MOST: Final = 400
"""So many places of a side, marked or not, are compared with; of more, every so many-th."""

FEW: Final = 240
"""So many of the query's own."""

BEST: Final = 5
"""The likeness to a side is the mean of the best of so many shares of its places."""

TEMPERATURE: Final = 1 / 30
"""Of votes: the softmax over likenesses."""

KNOWN: Final = 1e-4
"""Share of a place that has to be known, so that a dot of a scribble counts."""

LEAST: Final = 0.02
"""Share of a place under which a side has none of it."""

INSIDE, OUTSIDE = 0.5, 0.25
"""Share of a place from which, and up to which, it belongs to a side."""

_BLOCK: Final = 1024
"""So many of the query's places are compared at a time by colour."""

VOTING: Final = ("mix", "objects", "things")
"""Levels that vote, both ways, and by which the query supports itself."""

_KINDS: Final = ("marked", "rest", "difference", "best", "prototype")
CUES: Final = (
    *(f"{level} {kind}" for level in LEVELS for kind in _KINDS),
    *(f"{level} {kind}" for level in VOTING for kind in ("votes", "back", "self", "own", "border")),
    "colour marked",
    "colour difference",
    "place",
    "area",
    "lightness",
    "red",
    "yellow",
    "contrast",
)
"""Cues on the middle grid."""

FINE_CUES: Final = ("colour marked", "colour rest", "edges difference", "colour self")
"""Cues on the fine grid."""

TELLING: Final = tuple(
    CUES.index(f"{level} {kind}") for level in ("things", "mix") for kind in ("marked", "rest")
)
"""Those that tell, where the mask is, whether the thing is there: absolute likenesses."""

PLACE: Final = CUES.index("place")
MIX: Final = CUES.index("mix difference")


@dataclass(frozen=True, eq=False)
class Marks:
    """What an example marks, on the fine grid, shares in [0, 1]; what neither covers is unknown.

    Attributes:
        inside: Of the thing.
        outside: Of what is not the thing.
    """

    inside: Float[Tensor, "f f"]
    outside: Float[Tensor, "f f"]

    def to(self, device: torch.device) -> Marks:
        """On a device."""
        return Marks(self.inside.to(device), self.outside.to(device))

    def on(self, side: int) -> tuple[Tensor, Tensor]:
        """Both on another grid, row by row: shares of what is known of a place."""
        both = F.adaptive_avg_pool2d(torch.stack([self.inside, self.outside])[None], side)[0]
        known = both.sum(0)
        both = torch.where(known > KNOWN, both / known.clamp(min=KNOWN), 0)
        return both[0].flatten(), both[1].flatten()


@dataclass(frozen=True, eq=False)
class Side:
    """Places that belong to a side of the mask, and their mean, of length 1."""

    places: Float[Tensor, "n c"]
    mean: Float[Tensor, " c"]


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What the examples mark, a level.

    Attributes:
        levels: Of each of :data:`~vicl.models.matching.view.LEVELS`: marked, and the rest.
        colours: Likewise, on the fine grid.
        edges: Likewise.
        place: Where the examples' things are, blurred.
        area: Share of the known places that is marked.
    """

    levels: dict[str, tuple[Side, Side]]
    colours: tuple[Side, Side]
    edges: tuple[Side, Side]
    place: Float[Tensor, "m m"]
    area: float


@dataclass(frozen=True, eq=False)
class Match:
    """How like the places of a side are to each of a query's: no more than what cues need.

    Attributes:
        best: The greatest likeness of each share of the side's places.
        mean: Of the places, of length 1; zeros if there are none.
        count: How many places.
        votes: Of a level that votes: the mean of the places' votes for each of the query's, and of
            the share that it has of all votes which a place gives.
    """

    best: Float[Tensor, "s n"]
    mean: Float[Tensor, " c"]
    count: int
    votes: Float[Tensor, "2 n"] | None = None


@dataclass(frozen=True, eq=False)
class Compared:
    """What examples mark, compared with a query: marked, and the rest.

    Attributes:
        levels: Of each of :data:`~vicl.models.matching.view.LEVELS`.
        colours: On the fine grid; likeness is 2ab - b² of their colours.
        edges: Likewise.
        place: As of :class:`Knowledge`.
        area: Likewise.
    """

    levels: dict[str, tuple[Match, Match]]
    colours: tuple[Match, Match]
    edges: tuple[Match, Match]
    place: Float[Tensor, "m m"]
    area: float


def learn(views: Sequence[View], marks: Sequence[Marks]) -> Knowledge:
    """Keep what the examples mark: the more there are, the more places.

    Args:
        views: The examples' inputs.
        marks: What each marks.
    """
    found = {
        name: _sides([view.features(name) for view in views], marks, side)
        for name, (_, side) in LEVELS.items()
    }
    colours = _sides([view.colours.flatten(1).T for view in views], marks, FINE)
    edges = _sides([fine_edges(view) for view in views], marks, FINE)
    middle = [mark.on(MIDDLE) for mark in marks]
    inside = torch.stack([one for one, _ in middle]).sum(0)
    known = torch.stack([one + other for one, other in middle]).sum(0)
    place = (inside / known.clamp(min=1e-3)).reshape(1, MIDDLE, MIDDLE)
    for _ in range(2):
        place = smooth(place, 9)
    area = float(inside.sum() / known.sum().clamp(min=1e-3))
    return Knowledge(found, colours, edges, place[0], area)


def compare(known: Knowledge, query: View) -> Compared:
    """Compare what examples mark with every place of a query."""

    def both(sides: tuple[Side, Side], match: Callable[[Side], Match]) -> tuple[Match, Match]:
        return match(sides[0]), match(sides[1])

    colours, edges = query.colours.flatten(1).T, fine_edges(query)
    levels = {
        name: both(sides, partial(_match, asked=query.features(name), votes=name in VOTING))
        for name, sides in known.levels.items()
    }
    near = both(known.colours, lambda side: Match(_nearest(colours, side.places), side.mean, 0))
    apart = both(known.edges, partial(_match, asked=edges))
    return Compared(levels, near, apart, known.place, known.area)


def together(known: Compared, own: Compared) -> Compared:
    """What examples teach, and what a query that was answered shows of itself.

    Its places stand beside theirs; where and how large the thing is, the examples tell alone.
    """

    def both(one: tuple[Match, Match], other: tuple[Match, Match]) -> tuple[Match, Match]:
        return _joined(one[0], other[0]), _joined(one[1], other[1])

    levels = {name: both(one, own.levels[name]) for name, one in known.levels.items()}
    colours, edges = both(known.colours, own.colours), both(known.edges, own.edges)
    return replace(known, levels=levels, colours=colours, edges=edges)


def gather(found: Compared, query: View) -> tuple[Float[Tensor, "c m m"], Float[Tensor, "d f f"]]:
    """The cues of a query: those of :data:`CUES`, and those of :data:`FINE_CUES`."""
    maps: list[Tensor] = []
    voted: list[Tensor] = []
    for name, (_, side) in LEVELS.items():
        asked = query.features(name)
        marked, rest = found.levels[name]
        likeness, unlike = marked.best.mean(0), rest.best.mean(0)
        best = marked.best.amax(0) - rest.best.amax(0)
        prototype = asked @ (marked.mean - rest.mean)
        maps += on_middle(
            [likeness, unlike, 4 * (likeness - unlike), 4 * best, 2 * prototype], side
        )
        if name in VOTING:
            voted += on_middle(_votes(asked, marked, rest, likeness - unlike, side), side)
    colours = query.colours.flatten(1).T.contiguous()
    near, far = (_nearness(colours, one.best) for one in found.colours)
    apart = [one.best.mean(0) for one in found.edges]
    mixed = F.interpolate(maps[MIX][None, None], (FINE, FINE), mode="bilinear")[0, 0].flatten()
    own = [
        _nearness(colours, _nearest(colours, shared_out(part, FEW)))
        for part in _support(colours, mixed)
    ]
    fine = [near, far, 4 * (apart[0] - apart[1]), own[0] - own[1]]
    light = query.colours[:3].flatten(1)
    varies = query.colours[6:7].flatten(1)
    down = F.avg_pool2d(torch.stack([near, near - far, *light, *varies]).reshape(-1, FINE, FINE), 2)
    area = torch.full_like(found.place, 0.25 * math.log(found.area + 1e-3))
    maps = [*maps, *voted, *down[:2], found.place, area, *down[2:]]
    return torch.stack(maps), torch.stack(fine).reshape(-1, FINE, FINE)


def _sides(features: Sequence[Tensor], marks: Sequence[Marks], side: int) -> tuple[Side, Side]:
    """The places of both sides in all examples."""
    rows = torch.cat(list(features))
    most = int(MOST * min(3, 1 + 0.25 * (len(marks) - 1)))
    on = [mark.on(side) for mark in marks]
    inside, outside = torch.cat([one for one, _ in on]), torch.cat([other for _, other in on])
    apart = torch.where(inside <= OUTSIDE, outside, 0)
    return _side(rows, (inside,), most), _side(rows, (apart, outside), most)


def _side(rows: Tensor, shares: Sequence[Tensor], count: int) -> Side:
    """Those of the places that a side has to itself; of a thin side those that it has most of."""
    for values in shares:
        most = float(values.max())
        if most > LEAST:
            chosen = (values >= min(INSIDE, 0.6 * most)).nonzero()[:, 0]
            return Side(shared_out(rows[chosen], count), F.normalize(rows[chosen].mean(0), dim=0))
    return Side(rows.new_zeros(BEST, rows.shape[1]), rows.new_zeros(rows.shape[1]))


def _match(side: Side, asked: Float[Tensor, "n c"], votes: bool = False) -> Match:
    """Compare a side with a query's places, all of length 1."""
    values = side.places @ asked.T
    best = values.reshape(BEST, -1, len(asked)).amax(1)
    if not votes:
        return Match(best, side.mean, len(values))
    given = values.div_(TEMPERATURE).exp_()  # at most e³⁰: no greatest need be taken off
    shared = (1 / given.sum(1)) @ given / len(given)
    return Match(best, side.mean, len(given), torch.stack([given.mean(0), shared]))


def _joined(one: Match, other: Match) -> Match:
    """Both, share by share; a side of which nothing is known adds nothing."""
    if not other.mean.any():
        return one
    best = torch.maximum(one.best, other.best)
    mean = F.normalize(one.mean + other.mean, dim=0)
    count = one.count + other.count
    votes = None
    if one.votes is not None and other.votes is not None:
        votes = (one.count * one.votes + other.count * other.votes) / count
    return Match(best, mean, count, votes)


def shared_out(places: Float[Tensor, "n c"], most: int) -> Float[Tensor, "k c"]:
    """At most so many places, in shares that one after the other take every so many-th."""
    count = max(BEST, min(most, len(places)) // BEST * BEST)
    chosen = torch.linspace(0, len(places) - 1, count).long()
    return places[chosen.reshape(-1, BEST).T.flatten()]


def likeness_of(values: Float[Tensor, "k n"]) -> Float[Tensor, " n"]:
    """Mean of the greatest of each share of the rows."""
    return values.reshape(BEST, -1, values.shape[1]).amax(1).mean(0)


def _nearest(colours: Float[Tensor, "n c"], places: Float[Tensor, "k c"]) -> Float[Tensor, "s n"]:
    """The greatest 2ab - b², share by share of places b: where it is, the distance is least."""
    # One product; blocks of it stay in the processor's cache.
    ends = torch.cat([2 * places, -places.square().sum(1, keepdim=True)], 1)
    rows = torch.cat([colours, torch.ones_like(colours[:, :1])], 1)
    blocks = [
        (ends @ part.T).reshape(BEST, -1, len(part)).amax(1) for part in torch.split(rows, _BLOCK)
    ]
    return torch.cat(blocks, 1)


def _nearness(colours: Float[Tensor, "n c"], nearest: Float[Tensor, "s n"]) -> Float[Tensor, " n"]:
    """Minus the distance to the nearest, the mean over the shares of places."""
    return -(colours.square().sum(1) - nearest).clamp(min=0).sqrt().mean(0)


def _support(
    asked: Float[Tensor, "n c"], difference: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "m c"], Float[Tensor, "r c"]]:
    """The query's surest places of the thing, and its surest others."""
    order = difference.argsort(descending=True)
    sure = max(BEST, int((difference > 0).sum()) // 2)
    return asked[order[:sure]], asked[order[-int(0.4 * len(order)) :]]


def _votes(
    asked: Tensor, inside: Match, outside: Match, difference: Tensor, side: int
) -> list[Tensor]:
    """Votes forward and back, what the query's surest places say, and likeness to its border."""
    assert inside.votes is not None
    assert outside.votes is not None
    forward = inside.votes[0] / (inside.votes[0] + outside.votes[0])
    back = [len(asked) * votes[1] + 0.05 for votes in (inside.votes, outside.votes)]
    turned = 0.3 * (back[0].log() - back[1].log())
    marked, rest = _support(asked, difference)
    nearest = [likeness_of(shared_out(part, FEW) @ asked.T) for part in (marked, rest)]
    means = F.normalize(marked.mean(0), dim=0) - F.normalize(rest.mean(0), dim=0)
    frame = asked.new_ones(side, side, dtype=torch.bool)
    frame[1:-1, 1:-1] = False
    border = asked @ F.normalize(asked[frame.flatten()].mean(0), dim=0)
    return [forward, turned, 2 * (asked @ means), 4 * (nearest[0] - nearest[1]), border]


def fine_edges(view: View) -> Float[Tensor, "n c"]:
    """The encoder's edges at each fine place, as vectors of length 1."""
    return F.normalize(view.levels[0], dim=0).flatten(1).T.contiguous()


def on_middle(rows: Sequence[Tensor], side: int) -> list[Tensor]:
    """Maps on the middle grid of what is told row by row of a grid of that side."""
    maps = torch.stack(list(rows)).reshape(len(rows), side, side)
    if side == COARSE:
        maps = F.interpolate(maps[None], (MIDDLE, MIDDLE), mode="bilinear", align_corners=False)[0]
    return list(maps)
