"""A second look: where what the examples mark is small, the query is looked at again from nearer.

Examples and query are stretched to a larger square and cut into the same overlapping tiles, each a
view of its own, so that things are as large in the one as in the other. The same head answers each
tile, not knowing where it lies; the answers are joined on one grid with that of the first look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.engine import Encoder
from vicl.images import resize
from vicl.models.matching.cues import Marks, learn
from vicl.models.matching.head import MatchingHead, Scored
from vicl.models.matching.knowledge import ClassKnowledge, answer_class
from vicl.models.matching.view import FINE, PICTURE, SIDE, View, look_at_square

FIRST: Final = 0.5
"""Share of the first look in the joined log-odds."""

NOTHING: Final = -1.0
"""Log-odds that the first look reaches nowhere in a tile that is not looked at again."""

AGREE: Final = 0.4
"""IoU of the two looks from which they are joined."""

_SHOWN: Final = 8
"""At most so many tiles of examples are matched with: those that have the most marked."""


@dataclass(frozen=True, eq=False)
class Closer:
    """What examples teach from nearer.

    Attributes:
        known: Of each class; None where the first look will do.
    """

    known: tuple[ClassKnowledge | None, ...]

    def improve(
        self,
        first: Sequence[Scored],
        query: Float[Tensor, "3 h w"],
        encoder: Encoder,
        head: MatchingHead,
    ) -> list[Scored]:
        """Look at a query again and join that with what was seen first, class by class.

        Tiles in which the first look surely saw nothing of a class stay as they are.
        """
        tiles = _cut(query)
        views: dict[int, View] = {}

        def near(index: int, known: ClassKnowledge, seen: Scored) -> Scored:
            if float(seen.mask.max()) < NOTHING:
                return seen
            if index not in views:
                views[index] = look_at_square(tiles[index], encoder)
            return answer_class(known, views[index], head, placeless=True)

        found = []
        for one, known in zip(first, self.known, strict=True):
            whole = one._replace(mask=grown(one.mask), depth=grown(one.depth))
            if known is not None:
                seen = [near(index, known, part) for index, part in enumerate(parts_of(whole))]
                whole = _joined(whole, seen)
            found.append(whole)
        return found


def side_of(tile: int) -> int:
    """Side of the larger square whose tiles, two a side, have this one."""
    return tile + _step(tile)


def learn_closer(
    images: Sequence[Float[Tensor, "3 _h _w"]], marks: Sequence[Marks], encoder: Encoder
) -> ClassKnowledge:
    """Learn a class from the tiles of examples.

    Args:
        images: Of the examples, RGB in [0, 1].
        marks: What each marks, on the larger square's fine grid.
        encoder: Looks at them.
    """
    tiles = [
        (tile, Marks(mark.inside[place], mark.outside[place]))
        for image, mark in zip(images, marks, strict=True)
        for tile, place in zip(_cut(image), _places(FINE), strict=True)
    ]
    tiles.sort(key=lambda one: -float(one[1].inside.sum()))
    shown = tiles[:_SHOWN]
    views = [look_at_square(tile, encoder) for tile, _ in shown]
    return ClassKnowledge(learn(views, [mark for _, mark in shown]))


def _joined(first: Scored, tiles: Sequence[Scored]) -> Scored:
    """Both looks together, if they see the same; else the first, which sees the whole scene.

    Args:
        first: On the larger square's grids.
        tiles: Of the second look.
    """
    near = blended([tile.mask[0] for tile in tiles])
    shared = float(((first.mask > 0) & (near > 0)).sum())
    if shared < AGREE * float(((first.mask > 0) | (near > 0)).sum()):
        return first
    depth = blended([tile.depth[0] for tile in tiles])
    return first._replace(mask=FIRST * first.mask + (1 - FIRST) * near, depth=depth)


def parts_of(scored: Scored) -> list[Scored]:
    """What a look at the whole says of each tile."""
    places = zip(_places(PICTURE), _places(FINE), strict=True)
    return [
        scored._replace(mask=scored.mask[:, *place], depth=scored.depth[:, *fine])
        for place, fine in places
    ]


def _step(tile: int) -> int:
    """From one tile to the next: neighbours share a quarter."""
    return 3 * tile // 4


def _places(tile: int) -> list[tuple[slice, slice]]:
    """Rows and columns of each tile."""
    spans = [slice(start, start + tile) for start in (0, _step(tile))]
    return [(rows, columns) for rows in spans for columns in spans]


def _cut(image: Float[Tensor, "3 h w"]) -> list[Float[Tensor, "3 t t"]]:
    """The tiles of a picture, of any size, as the encoder takes them."""
    return tiles_of(resize(image, (side_of(SIDE), side_of(SIDE))))


def tiles_of(square: Float[Tensor, "3 s s"]) -> list[Float[Tensor, "3 t t"]]:
    """The tiles of the larger square."""
    return [square[:, rows, columns].contiguous() for rows, columns in _places(SIDE)]


def blended(tiles: Sequence[Float[Tensor, "t t"]]) -> Float[Tensor, "1 s s"]:
    """Maps of the tiles as one map: each fades out where another goes on."""
    side = len(tiles[0])
    shared = side - _step(side)
    ramp = ((torch.arange(side).to(tiles[0]) + 0.5) / shared).clamp(max=1)
    fade = torch.minimum(ramp, ramp.flip(0))
    weight = torch.outer(fade, fade)
    step = side_of(side) - side
    total = tiles[0].new_zeros(2, side_of(side), side_of(side))
    for (rows, columns), tile in zip(_places(side), tiles, strict=True):
        part = torch.stack([weight * tile, weight])
        total = total + F.pad(
            part, (columns.start, step - columns.start, rows.start, step - rows.start)
        )
    return (total[0] / total[1])[None]


def grown(maps: Float[Tensor, "1 a a"]) -> Float[Tensor, "1 s s"]:
    """A map of the first look on the larger square's grid."""
    side = side_of(maps.shape[1])
    return F.interpolate(maps[None], (side, side), mode="bilinear", align_corners=False)[0]
