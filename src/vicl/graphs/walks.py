"""Random walks inside a graph: as :mod:`vicl.models.promptable.walks`, in double precision.

A fixed number of rounds of conjugate gradients carries what one runtime rounds otherwise than
another far; in double precision too little of it to be seen is left.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.models.matching.view import FINE
from vicl.models.promptable.guidance import Guide
from vicl.models.promptable.walks import (
    GIVES_UP,
    LOWEST,
    ROUNDS,
    Paths,
    paths,
    stopping,
    told_by,
)


def ahead(
    guide: Guide, picture: Float[Tensor, "1 3 p p"], outline: Float[Tensor, "1 f f"]
) -> Float[Tensor, "1 f f"]:
    """See :func:`vicl.models.promptable.walks.ahead`."""
    small = F.interpolate(picture, (FINE, FINE), mode="area").double()
    inside, outside = told_by(guide)
    along = paths(small.sqrt(), stopping(guide, outline).double())
    found = _walked(along, torch.cat([inside, outside]).double())
    return (found[:1] - found[1:]).float()


def _walked(along: Paths, told: Float[Tensor, "2 s s"]) -> Float[Tensor, "2 s s"]:
    """See :func:`vicl.models.promptable.walks.walked`; what is in and what is out, of one image."""
    across, down = along  # (1, s, s): nothing leads on from the last column, and the last row
    away = across + down + _from_left(across) + _from_above(down) + GIVES_UP
    away = away + told.sum(0, keepdim=True)
    scale = 1 / away.sqrt()
    across, down = across * scale * _to_left(scale), down * scale * _to_above(scale)

    def applied(x: Tensor) -> Tensor:
        sideways = across * _to_left(x) + _from_left(across * x)
        return x - sideways - down * _to_above(x) - _from_above(down * x)

    left = told * scale
    found, way = torch.zeros_like(left), left
    size = _dot(left, left)
    for _ in range(ROUNDS):
        moved = applied(way)
        step = size / _dot(way, moved).clamp(min=1e-30)
        found, left = found + step * way, left - step * moved
        size, before = _dot(left, left), size
        way = left + size / before.clamp(min=1e-30) * way
    chances = (found * scale).clamp(LOWEST, 1)
    lowest = torch.tensor(LOWEST, dtype=chances.dtype)
    return 1 - chances.log() / lowest.log()


def _to_left(x: Tensor) -> Tensor:
    """Of each place what its right neighbour has."""
    return F.pad(x[..., 1:], (0, 1))


def _from_left(x: Tensor) -> Tensor:
    """Of each place what its left neighbour has."""
    return F.pad(x[..., :-1], (1, 0))


def _to_above(x: Tensor) -> Tensor:
    return F.pad(x[..., 1:, :], (0, 0, 0, 1))


def _from_above(x: Tensor) -> Tensor:
    return F.pad(x[..., :-1, :], (0, 0, 1, 0))


def _dot(one: Float[Tensor, "2 s s"], other: Float[Tensor, "2 s s"]) -> Tensor:
    return (one * other).sum((1, 2), keepdim=True)
