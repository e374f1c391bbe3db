"""Whether a mask ends where things end: how likely it is to be one that somebody means."""

from __future__ import annotations

from typing import Final

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_BASE, _OWN, _BORDER = -0.18, 0.79, 0.39
"""Of the linear function that :func:`likely` is, fitted to the package's network by
`benchmarks/fit_borders.py`: to its candidates for 840 prompts to clothes on held-out photographs
and to things composed onto such. A network of one's own is scored by it, too."""

_NEAR: Final = 3
"""Places, across, of a border and of what an outline reaches."""


def likely(
    ious: Float[Tensor, " n"], odds: Float[Tensor, "n p p"], outline: Float[Tensor, "1 f f"]
) -> Float[Tensor, " n"]:
    """The IoU that each mask is expected to have, by its border, too.

    Args:
        ious: As the network expects them, which does not see where things end.
        odds: Of the masks.
        outline: Chance of an outline, in [0, 1].
    """
    return (_BASE + _OWN * ious + _BORDER * on_outlines(odds, outline)).clamp(0, 1)


def on_outlines(
    odds: Float[Tensor, "n p p"], outline: Float[Tensor, "1 f f"]
) -> Float[Tensor, " n"]:
    """How sure the outlines are on which the border of each mask lies; 0 of one that has none."""
    masks = (F.adaptive_avg_pool2d(odds[None], outline.shape[-1]) > 0).float()[0]
    border = _widened(masks) + _widened(-masks)
    sure = border * _widened(outline)
    return sure.sum((1, 2)) / border.sum((1, 2)).clamp(min=1)


def _widened(maps: Float[Tensor, "n f f"]) -> Float[Tensor, "n f f"]:
    return F.max_pool2d(maps[None], _NEAR, 1, _NEAR // 2)[0]
