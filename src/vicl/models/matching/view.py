"""An image as the matching engine looks at it: stretched to a square, encoded, on three grids.

Every image is stretched to the same square, so that one place means the same in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.encoders.handmade import to_lab
from vicl.engine import Encoder
from vicl.images import resize

SIDE: Final = 384
"""Of the square that images are stretched to, in pixels."""

FINE, MIDDLE, COARSE = 96, 48, 24
"""Sides of the grids: of colours and edges, of texture, of parts and things."""

PICTURE: Final = 192
"""Side at which the query's own pixels guide the answer."""

_MIXED: Final = (0.5, 1.0, 0.7, 1.0, 1.0)
"""Weights of the encoder's levels in the mix of all of them."""


@dataclass(frozen=True, eq=False)
class View:
    """An image, encoded.

    Attributes:
        levels: Of the encoder: edges, texture, parts, objects, things.
        picture: Its pixels, RGB in [0, 1].
    """

    levels: tuple[Float[Tensor, "_c _h _w"], ...]
    picture: Float[Tensor, "3 p p"]

    @cached_property
    def colours(self) -> Float[Tensor, "9 f f"]:
        """Of each fine place: Lab over 50, that of its surroundings, and how it varies there."""
        small = F.interpolate(self.picture[None], (FINE, FINE), mode="area")[0]
        lab = torch.from_numpy(to_lab(small.permute(1, 2, 0).cpu().numpy())).permute(2, 0, 1)
        around = smooth(lab, 5)
        varies = (smooth(lab * lab, 5) - around * around).clamp(min=0).sqrt()
        return torch.cat([lab, around, 2 * varies]).to(self.picture)

    def features(self, name: str) -> Float[Tensor, "n c"]:
        """What there is at each place of a level's grid, row by row, as vectors of length 1.

        Args:
            name: One of :data:`LEVELS`.
        """
        if name not in self._features:
            self._features[name] = self._compared(name)
        return self._features[name]

    @cached_property
    def _features(self) -> dict[str, Tensor]:
        """Those that were asked for: a query is compared more than once."""
        return {}

    def _compared(self, name: str) -> Float[Tensor, "n c"]:
        if name == "mix":
            parts = [
                weight * _unit(_on(level, MIDDLE))
                for weight, level in zip(_MIXED, self.levels, strict=True)
            ]
            return _rows(_unit(torch.cat(parts)))
        index, side = LEVELS[name]
        return _rows(_unit(_on(self.levels[index], side)))


LEVELS: Final = {
    "edges": (0, MIDDLE),
    "texture": (1, MIDDLE),
    "mix": (-1, MIDDLE),
    "parts": (2, COARSE),
    "objects": (3, COARSE),
    "things": (4, COARSE),
}
"""What is matched: the encoder's level, and the side of the grid."""


def look(image: Float[Tensor, "3 h w"], encoder: Encoder, *, both_ways: bool = False) -> View:
    """Look at an RGB image in [0, 1], of any size.

    Args:
        image: It.
        encoder: Whose features they are.
        both_ways: Look at its mirror image too, and take the mean of both: what an encoder says of
            a place hangs a little on which way things face. Twice the cost.
    """
    return look_at_square(resize(image, (SIDE, SIDE)), encoder, both_ways=both_ways)


def look_at_square(
    square: Float[Tensor, "3 s s"], encoder: Encoder, *, both_ways: bool = False
) -> View:
    """As :func:`look`, at what is a square of the right side already."""
    if not both_ways:
        return see(encoder.encode(square[None]).levels, square)
    levels = encoder.encode(torch.stack([square, square.flip(-1)])).levels
    return see(tuple((level[:1] + level[1:].flip(-1)) / 2 for level in levels), square)


def see(levels: tuple[Tensor, ...], square: Float[Tensor, "3 s s"]) -> View:
    """Make a view of what an encoder found in one image."""
    picture = F.interpolate(square[None], (PICTURE, PICTURE), mode="area")[0]
    return View(tuple(level[0].float() for level in levels), picture)


def smooth(values: Float[Tensor, "c h w"], side: int) -> Float[Tensor, "c h w"]:
    """Mean of the square around each place, of what lies within the image."""
    return F.avg_pool2d(values[None], side, 1, side // 2, count_include_pad=False)[0]


def _on(level: Tensor, side: int) -> Tensor:
    if level.shape[1] > side:
        return F.adaptive_avg_pool2d(level[None], side)[0]
    return F.interpolate(level[None], (side, side), mode="bilinear", align_corners=False)[0]


def _unit(values: Tensor) -> Tensor:
    return F.normalize(values, dim=0)


def _rows(values: Tensor) -> Tensor:
    return values.flatten(1).T.contiguous()
