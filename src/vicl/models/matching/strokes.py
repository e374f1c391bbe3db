"""Examples that are marked by strokes: what they leave open is answered first, from the strokes.

An example itself is the best query there is for its own strokes: the same light, the same thing.
Its answer then teaches as a mask does; where the strokes are, they stay what they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.models.matching.cues import Marks
from vicl.models.matching.head import MatchingHead
from vicl.models.matching.knowledge import answer_class, learn_class
from vicl.models.matching.view import FINE, PICTURE, View

_STROKES: Final = 0.5
"""Share of an example under which what is known of it is strokes, not a mask with open borders."""

_KNOWN: Final = 1e-4


def are_strokes(maps: Float[Tensor, "2 h w"]) -> bool:
    """Whether an example is marked by strokes.

    Args:
        maps: Shares of what is not the thing, and of the thing; neither is unknown.
    """
    return float(maps.sum(0).mean()) < _STROKES


def fill_in(
    views: Sequence[View], maps: Sequence[Float[Tensor, "2 _h _w"]], head: MatchingHead
) -> list[Float[Tensor, "2 _a _b"]]:
    """Answer what strokes leave open; other examples stay.

    Args:
        views: Of the examples.
        maps: As of :func:`are_strokes`, an example each.
        head: Decides.

    Returns:
        Maps, those that were strokes on the grid of the picture, all of it known.
    """
    shrunk = [F.adaptive_avg_pool2d(one[None].to(views[0].picture), FINE)[0] for one in maps]
    learned = learn_class(views, [Marks(one[1], one[0]) for one in shrunk], head)
    filled = []
    for view, one in zip(views, maps, strict=True):
        if are_strokes(one):
            marked = (answer_class(learned, view, head).mask > 0).float().cpu()
            told = F.adaptive_avg_pool2d(one[None], PICTURE)[0].cpu()
            known = told.sum(0, keepdim=True)
            answered = torch.cat([1 - marked, marked])
            filled.append(torch.where(known > _KNOWN, told / known.clamp(min=_KNOWN), answered))
        else:
            filled.append(one)
    return filled
