"""The engine `matching` as a graph: what the examples taught is part of it, the query varies.

What is asked is asked as :mod:`vicl.models.matching` does; what hangs there on values (how many
places a query is sure of, whether it is looked at again) is computed here always and then chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.engine import Encoder
from vicl.graphs.pixels import enlarged, shrunk, to_lab
from vicl.graphs.sides import (
    FixedSide,
    Known,
    along,
    chosen_side,
    first_of,
    joined,
    likeness,
    near,
    own_sides,
)
from vicl.models.matching import Matching
from vicl.models.matching.closer import (
    AGREE,
    FIRST,
    NOTHING,
    blended,
    grown,
    parts_of,
    side_of,
    tiles_of,
)
from vicl.models.matching.cues import (
    BEST,
    FEW,
    MIX,
    PLACE,
    TEMPERATURE,
    VOTING,
    fine_edges,
    on_middle,
)
from vicl.models.matching.engine import BOUND, MANY, Taught
from vicl.models.matching.head import MatchingHead, Scored
from vicl.models.matching.knowledge import (
    BOUND as CORRECTED,
)
from vicl.models.matching.knowledge import (
    LARGE,
    SURE_IN,
    SURE_OUT,
    ClassKnowledge,
    Correction,
)
from vicl.models.matching.view import FINE, LEVELS, SIDE, View, see, smooth

_KINDS: Final = ("marked", "rest")

Sides = Mapping[str, tuple[FixedSide, FixedSide]]
"""Of each level, of "colours" and of "edges": what is marked, and the rest."""


class MatchingGraph(nn.Module):
    """One prompt of the engine `matching`: a query to the chances of its classes.

    Args:
        engine: As it is asked.
        taught: By the examples of each pass, each of one class, in white on black.
        examples: How many there are.
    """

    def __init__(self, engine: Matching, taught: list[Taught], examples: int) -> None:
        super().__init__()
        self.encoder = engine.encoder.encoder
        self.head = engine.head
        self.least = engine.min_presence
        self.seen = tuple(one.seen[0] for one in taught)
        nearer = [one.nearer[0] for one in taught]
        self.both_ways = not any(nearer)
        self.classes = nn.ModuleList(
            _Class(one.known[0], twice=examples < MANY and near is None)
            for one, near in zip(taught, nearer, strict=True)
        )
        self.nearer = nn.ModuleList(
            nn.Identity() if near is None else _Class(near, twice=False) for near in nearer
        )

    def forward(self, query: Float[Tensor, "1 3 h w"]) -> tuple[Tensor, Tensor]:
        """The chance of each class at each pixel, (k, h, w), and of its being there, (k,).

        Args:
            query: RGB in [0, 1].
        """
        view = look(shrunk(query, (SIDE, SIDE)), self.encoder, both_ways=self.both_ways)
        tiles: list[View] = []
        masks, chances = [], []
        for one, nearer, seen in zip(self.classes, self.nearer, self.seen, strict=True):
            scored = one(view, self.head)
            if isinstance(nearer, _Class):
                if not tiles:
                    side = side_of(SIDE)
                    square = shrunk(query, (side, side))[0]
                    tiles = [look(tile[None], self.encoder) for tile in tiles_of(square)]
                scored = _closer(
                    scored, [nearer(tile, self.head, placeless=True) for tile in tiles]
                )
            chance = torch.sigmoid(scored.presence if seen else scored.mask.max()[None])
            there = chance >= self.least
            masks.append(
                torch.where(there[:, None, None], scored.mask, -BOUND).clamp(-BOUND, BOUND)
            )
            chances.append(chance)
        odds = torch.stack([enlarged(mask, query)[0] for mask in masks])
        return torch.sigmoid(odds / self.head.config.temperature), torch.cat(chances)


class _Class(nn.Module):
    """What the examples teach of a class, as buffers."""

    place: Tensor

    def __init__(self, learned: ClassKnowledge, *, twice: bool) -> None:
        super().__init__()
        known = learned.known
        named = {**known.levels, "colours": known.colours, "edges": known.edges}
        # A module's name may not be an attribute's.
        self.sides = nn.ModuleDict(
            {
                f"{name} {kind}": Known(side)
                for name, both in named.items()
                for kind, side in zip(_KINDS, both, strict=True)
            }
        )
        self.names = tuple(named)
        self.register_buffer("place", known.place.clone())
        self.area, self.twice = known.area, twice
        self.correction = None if learned.correction is None else _Correction(learned.correction)

    def forward(self, view: View, head: MatchingHead, *, placeless: bool = False) -> Scored:
        """See :func:`vicl.models.matching.knowledge.answer_class`."""
        known: dict[str, tuple[FixedSide, FixedSide]] = {
            name: tuple(self.sides[f"{name} {kind}"]() for kind in _KINDS) for name in self.names
        }
        colours = _colours(view)
        cues, fine = gather(known, view, colours, self.place, self.area)
        if placeless:
            cues = torch.cat([cues[:PLACE], torch.zeros_like(cues[:1]), cues[PLACE + 1 :]])
        scored = _score(head, cues, fine, view)
        if self.twice:
            mean = F.avg_pool2d(scored.mask.clamp(-LARGE, LARGE), scored.mask.shape[-1] // FINE)[0]
            inside, outside = (mean > SURE_IN).to(mean), (mean < SURE_OUT).to(mean)
            both = _with_own(known, view, colours, inside, outside)
            again = _score(head, *gather(both, view, colours, self.place, self.area), view)
            mixed = (scored.mask + again.mask) / 2
            mask = torch.where((inside > 0).any(), mixed, scored.mask)
            scored = scored._replace(mask=mask)
        if self.correction is None:
            return scored
        added = self.correction(cues).clamp(-CORRECTED, CORRECTED)[None, None]
        size = scored.mask.shape[1:]
        larger = F.interpolate(added, size, mode="bilinear", align_corners=False)[0]
        return scored._replace(mask=scored.mask + larger)


class _Correction(nn.Module):
    """See :class:`vicl.models.matching.knowledge.Correction`."""

    weights: Tensor
    mean: Tensor
    spread: Tensor

    def __init__(self, found: Correction) -> None:
        super().__init__()
        for name, value in vars(found).items():
            self.register_buffer(name, value.clone())

    def forward(self, cues: Float[Tensor, "c m m"]) -> Float[Tensor, "m m"]:
        """What to add."""
        rows = (cues.flatten(1) - self.mean[:, None]) / self.spread[:, None]
        added = along(self.weights[:-1], rows.clamp(-4, 4)) + self.weights[-1]
        return added.reshape(cues.shape[1:])


def look(square: Float[Tensor, "1 3 s s"], encoder: Encoder, *, both_ways: bool = False) -> View:
    """See :func:`vicl.models.matching.view.look_at_square`."""
    if not both_ways:
        return see(encoder.encode(square).levels, square[0])
    levels = encoder.encode(torch.cat([square, square.flip(-1)])).levels
    return see(tuple((level[:1] + level[1:].flip(-1)) / 2 for level in levels), square[0])


def gather(
    known: Sides, query: View, colours: Float[Tensor, "9 f f"], place: Tensor, area: float
) -> tuple[Float[Tensor, "c m m"], Float[Tensor, "d f f"]]:
    """See :func:`vicl.models.matching.cues.gather`."""
    maps: list[Tensor] = []
    voted: list[Tensor] = []
    for name, (_, side) in LEVELS.items():
        asked = query.features(name)
        marked, rest = known[name]
        inside, outside = marked.places @ asked.T, rest.places @ asked.T
        alike, unlike = likeness(inside, marked), likeness(outside, rest)
        tops = [
            (part + of.lacking[:, None]).amax(0) for part, of in ((inside, marked), (outside, rest))
        ]
        prototype = along(marked.mean - rest.mean, asked.T)
        told = [alike, unlike, 4 * (alike - unlike), 4 * (tops[0] - tops[1]), 2 * prototype]
        maps += on_middle(told, side)
        if name in VOTING:
            votes = _votes(asked, (inside, outside), known[name], tops, alike - unlike, side)
            voted += on_middle(votes, side)
    rows, edges = colours.flatten(1).T.contiguous(), fine_edges(query)
    close, far = (near(rows, side) for side in known["colours"])
    apart = [likeness(side.places @ edges.T, side) for side in known["edges"]]
    mixed = F.interpolate(maps[MIX][None, None], (FINE, FINE), mode="bilinear")[0, 0].flatten()
    own = [near(rows, part) for part in _support(rows, mixed)]
    fine = [close, far, 4 * (apart[0] - apart[1]), own[0] - own[1]]
    light, varies = colours[:3].flatten(1), colours[6:7].flatten(1)
    down = torch.stack([close, close - far, *light, *varies]).reshape(-1, FINE, FINE)
    down = F.avg_pool2d(down[None], 2)[0]
    size = torch.full_like(place, 0.25 * math.log(area + 1e-3))
    maps = [*maps, *voted, *down[:2], place, size, *down[2:]]
    return torch.stack(maps), torch.stack(fine).reshape(-1, FINE, FINE)


def _votes(
    asked: Tensor,
    likenesses: tuple[Tensor, Tensor],
    sides: tuple[FixedSide, FixedSide],
    tops: list[Tensor],
    difference: Tensor,
    side: int,
) -> list[Tensor]:
    top = torch.maximum(*tops)
    each = list(zip(likenesses, sides, strict=True))
    # What is not there has no weight, and must not overflow.
    sums = [along(of.weight, ((part - top) / TEMPERATURE).clamp(max=0).exp()) for part, of in each]
    back = [
        along(of.weight, torch.softmax(part / TEMPERATURE, 1)) * len(asked) for part, of in each
    ]
    turned = 0.3 * ((back[0] + 0.05).log() - (back[1] + 0.05).log())
    marked, rest = _support(asked, difference)
    nearest = [likeness(part.places @ asked.T, part) for part in (marked, rest)]
    frame = F.pad(torch.zeros(side - 2, side - 2), (1, 1, 1, 1), value=1.0).flatten()
    edge = F.normalize(along(frame / (4 * side - 4), asked), dim=0)
    border = along(edge, asked.T)
    votes = sums[0] / (sums[0] + sums[1])
    means = 2 * along(marked.mean - rest.mean, asked.T)
    return [votes, turned, means, 4 * (nearest[0] - nearest[1]), border]


def _support(asked: Float[Tensor, "n c"], difference: Float[Tensor, " n"]) -> list[FixedSide]:
    """The query's surest places of the thing, and its surest others."""
    sure = ((difference > 0).sum() // 2).clamp(min=BEST)
    others = torch.tensor(int(0.4 * len(difference)))
    return [
        chosen_side(asked, first_of(difference, sure), FEW),
        chosen_side(asked, first_of(-difference, others), FEW),
    ]


def _with_own(
    known: Sides,
    view: View,
    colours: Float[Tensor, "9 f f"],
    inside: Float[Tensor, "f f"],
    outside: Float[Tensor, "f f"],
) -> Sides:
    """See :func:`vicl.models.matching.cues.together`."""
    rows = {name: (view.features(name), side) for name, (_, side) in LEVELS.items()}
    rows |= {"colours": (colours.flatten(1).T, FINE), "edges": (fine_edges(view), FINE)}
    found = {}
    for name, both in known.items():
        own = own_sides(rows[name][0], inside, outside, rows[name][1])
        marked, rest = (joined(one, *other) for one, other in zip(both, own, strict=True))
        found[name] = (marked, rest)
    return found


def _colours(view: View) -> Float[Tensor, "9 f f"]:
    """See :attr:`vicl.models.matching.view.View.colours`."""
    lab = to_lab(F.interpolate(view.picture[None], (FINE, FINE), mode="area")[0])
    around = smooth(lab, 5)
    varies = (smooth(lab * lab, 5) - around * around).clamp(min=0).sqrt()
    return torch.cat([lab, around, 2 * varies])


def _score(head: MatchingHead, cues: Tensor, fine: Tensor, view: View) -> Scored:
    scored: Scored = head(cues[None], fine[None], view.levels[0][None], view.picture[None])
    return scored


def _closer(first: Scored, tiles: list[Scored]) -> Scored:
    """See :meth:`vicl.models.matching.closer.Closer.improve`."""
    whole = first._replace(mask=grown(first.mask), depth=grown(first.depth))
    near = [
        torch.where(part.mask.max() < NOTHING, part.mask, tile.mask)[0]
        for part, tile in zip(parts_of(whole), tiles, strict=True)
    ]
    seen = blended(near)
    shared = ((whole.mask > 0) & (seen > 0)).to(seen).sum()
    either = ((whole.mask > 0) | (seen > 0)).to(seen).sum()
    mixed = FIRST * whole.mask + (1 - FIRST) * seen
    return whole._replace(mask=torch.where(shared < AGREE * either, whole.mask, mixed))
