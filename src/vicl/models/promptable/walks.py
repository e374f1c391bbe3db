"""Random walks from what a prompt tells to every other place, along what looks alike.

A walker steps to a neighbour the more readily the more alike they are and the less of an outline
lies between them, and gives up now and then. How likely it is to come to a place that is told to
be in before one that is told to be out says how far the prompt reaches, whatever is shown. Nothing
of this is learned but the outlines.

Source: Grady, "Random Walks for Image Segmentation", PAMI 2006. Differs: what is told is soft, and
walkers give up, so that what neither kind of places reaches is claimed by neither.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.models.matching.view import FINE, MIDDLE
from vicl.models.promptable.guidance import NEAR, Guide, bump_in, drawn_box, spots

_LEAST: Final = 1e-3
"""Conductance across the strongest edge."""

_SHARP: Final = 1.5
"""How much less readily a walker crosses a difference that is the mean of its image."""

_STOPS: Final = 4.0
"""How much less readily a walker crosses a sure outline, as an exponent."""

GIVES_UP: Final = 2e-3
"""Beside conductances of at most 1."""

ROUNDS: Final = 50
"""Of conjugate gradients."""

LOWEST: Final = 1e-3
"""Chances below it are as good as none."""

_FIRM, _HEART, _BEYOND = 3.0, 0.1, 0.3
"""How firmly a point says in or out, the middle of a box in, and what is beyond it out."""


class Paths(NamedTuple):
    """How readily a walker steps from each place of an image.

    Attributes:
        across: To the right neighbour; 0 in the last column.
        down: To the one below; 0 in the last row.
    """

    across: Float[Tensor, "b s s"]
    down: Float[Tensor, "b s s"]


def paths(values: Float[Tensor, "b c s s"], outline: Float[Tensor, "b s s"]) -> Paths:
    """How alike neighbours are, for the image that they are in, and whether a thing ends there.

    Args:
        values: What is compared, such as colours.
        outline: Chance of an outline, in [0, 1].
    """
    across = (values[..., 1:] - values[..., :-1]).square().sum(1)
    down = (values[..., 1:, :] - values[..., :-1, :]).square().sum(1)
    mean = (across.mean((1, 2)) + down.mean((1, 2)))[:, None, None] / 2 + 1e-8
    ends_across = torch.maximum(outline[..., 1:], outline[..., :-1])
    ends_down = torch.maximum(outline[..., 1:, :], outline[..., :-1, :])
    across, down = (
        torch.exp(-_SHARP * apart / mean - _STOPS * ends) + _LEAST
        for apart, ends in ((across, ends_across), (down, ends_down))
    )
    return Paths(F.pad(across, (0, 1)), F.pad(down, (0, 0, 0, 1)))


@torch.no_grad()
def walked(
    along: Paths, inside: Float[Tensor, "b s s"], outside: Float[Tensor, "b s s"]
) -> Float[Tensor, "b 2 s s"]:
    """How likely a walker is to come to what is in, and to what is out; 1 = surely, 0 = hardly.

    Logarithms of the chances, brought to [0, 1]. By conjugate gradients, a fixed number of rounds.

    Args:
        along: The image.
        inside: How firmly each place is told to be in; 0 = not.
        outside: To be out.
    """
    told = torch.stack([inside, outside], 1)
    across, down = along.across[:, None], along.down[:, None]
    # What is on the diagonal: all that leads away from a place, giving up, and being told.
    away = across + down
    away = away + across.roll(1, -1) + down.roll(1, -2) + GIVES_UP
    away = away + told.sum(1, keepdim=True)
    scale = away.rsqrt()  # of both sides, so that the diagonal is 1
    across = (across * scale)[..., :-1] * scale[..., 1:]
    down = (down * scale)[..., :-1, :] * scale[..., 1:, :]

    def applied(x: Tensor) -> Tensor:
        moved = x.clone()
        moved[..., 1:].addcmul_(across, x[..., :-1], value=-1)
        moved[..., :-1].addcmul_(across, x[..., 1:], value=-1)
        moved[..., 1:, :].addcmul_(down, x[..., :-1, :], value=-1)
        moved[..., :-1, :].addcmul_(down, x[..., 1:, :], value=-1)
        return moved

    left = told * scale
    found, way = torch.zeros_like(left), left.clone()
    size = _dot(left, left)
    for _ in range(ROUNDS):
        moved = applied(way)
        step = size / _dot(way, moved).clamp(min=1e-30)
        found.addcmul_(step, way)
        left.addcmul_(step, moved, value=-1)
        size, before = _dot(left, left), size
        way = torch.addcmul(left, size / before.clamp(min=1e-30), way)
    chances = (found * scale).clamp(LOWEST, 1)
    return 1 - chances.log() / torch.tensor(LOWEST).log()


def _dot(one: Float[Tensor, "b 2 s s"], other: Float[Tensor, "b 2 s s"]) -> Tensor:
    found: Tensor = torch.linalg.vecdot(one.flatten(2), other.flatten(2))
    return found[..., None, None]


def ahead(
    guide: Guide, picture: Float[Tensor, "b 3 p p"], outline: Float[Tensor, "b f f"]
) -> Float[Tensor, "b f f"]:
    """By how much each place is nearer to what is in than to what is out, in [-1, 1].

    Args:
        guide: What is told; points and boxes count.
        picture: RGB in [0, 1].
        outline: Chance of an outline, in [0, 1]; all 0 = nobody knows.
    """
    small = F.interpolate(picture, (FINE, FINE), mode="area")
    inside, outside = told_by(guide)
    found = walked(paths(small.sqrt(), stopping(guide, outline)), inside, outside)
    return found[:, 0] - found[:, 1]


def stopping(guide: Guide, outline: Float[Tensor, "b f f"]) -> Float[Tensor, "b f f"]:
    """The outlines that stop a walker: none where a box says already how far it should go."""
    boxed = (guide.box[:, 2] > guide.box[:, 0]).to(outline)
    return outline * (1 - boxed)[:, None, None]


def told_by(guide: Guide) -> tuple[Float[Tensor, "b f f"], Float[Tensor, "b f f"]]:
    """How firmly each place is told to be in, and to be out."""
    inside, outside = (_FIRM * spots(guide, label, NEAR / MIDDLE, FINE) for label in (1, 0))
    boxed = (guide.box[:, 2] > guide.box[:, 0]).to(inside)[:, None, None]
    box = drawn_box(guide.box, FINE)
    inside = inside + _HEART * box * bump_in(guide.box, FINE).view_as(box).square()
    return inside, outside + _BEYOND * boxed * (1 - box)
