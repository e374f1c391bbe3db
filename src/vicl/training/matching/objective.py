"""The losses of the matching engine's heads."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.models.matching.head import MatchingHead
from vicl.models.matching.outlines import OutlineHead
from vicl.training.objectives.objective import Losses, Objective

_PRESENT: float = 0.2
_DEPTH: float = 0.5
"""Weights of presence and depth beside the mask."""
_MISSED: float = 2.5
"""What it costs to miss a thing over what it costs to invent one: so that at one half a twentieth
of the things in the training's episodes is missed."""

_ON_LINES: float = 1 / 3
"""Weight of the places on lines, of all."""
_BESIDE: int = 5
"""Side of the square around a line in which nothing is held against another."""
_DROPPED: float = 0.1
"""Share of the channels of each level that are dropped."""


class HeadObjective(Objective):
    """Cross-entropy and soft Dice of the mask, cross-entropy of presence, error of the depth."""

    model: MatchingHead

    def __init__(self, model: MatchingHead) -> None:
        super().__init__()
        self.model = model

    def forward(self, *batch: Any) -> Losses:
        """See :class:`vicl.training.objectives.objective.Objective`.

        Args:
            batch: Cues, fine cues, details, picture; truth, in [0, 1] or -1 where nobody knows;
                depth in [0, 1]; whether presence can be told; and the number of the step.
        """
        *seen, truth, depth, told, _ = batch
        scored = self.model(*seen)
        there = (truth > 0.5).flatten(1).any(1).float()
        mask = mask_loss(scored.mask, truth, there)
        presence = presence_loss(scored.presence, there, told)
        deep = (scored.depth - depth).square()
        inside = (depth > 0).float()
        off = (deep * (0.2 + inside)).mean()
        loss = mask + _PRESENT * presence + _DEPTH * off
        return Losses(
            {"model": loss},
            {"mask": mask.detach(), "presence": presence.detach(), "depth": off.detach()},
        )


def presence_loss(
    scores: Float[Tensor, " b"], there: Float[Tensor, " b"], told: Float[Tensor, " b"]
) -> Float[Tensor, ""]:
    """Cross-entropy; to miss what is there costs more than to find what is not.

    Things that are there and things that are not count alike, however many they are.

    Args:
        scores: Log-odds.
        there: 1 or 0.
        told: 1 where presence can be told, else 0.
    """
    entropy = F.binary_cross_entropy_with_logits(scores, there, reduction="none")
    found, missing = there * told, (1 - there) * told
    sides = [(entropy * one).sum() / one.sum().clamp(min=1) for one in (found, missing)]
    return (_MISSED * sides[0] + sides[1]) / (_MISSED + 1)


def mask_loss(
    scores: Float[Tensor, "b p p"], truth: Float[Tensor, "b p p"], there: Float[Tensor, " b"]
) -> Float[Tensor, ""]:
    """Cross-entropy, the mean over pixels, and 1 - Dice, the mean over what is there."""
    known = (truth >= 0).float()
    wanted = truth.clamp(min=0)
    entropy = F.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
    chance = torch.sigmoid(scores) * known
    both = (chance * wanted).sum((1, 2))
    dice = 1 - (2 * both + 1) / (chance.sum((1, 2)) + (wanted * known).sum((1, 2)) + 1)
    per_pixel = (entropy * known).sum() / known.sum().clamp(min=1)
    return per_pixel + (dice * there).sum() / there.sum().clamp(min=1)


class OutlineObjective(Objective):
    """Cross-entropy of outlines, in which places on lines weigh a third."""

    model: OutlineHead

    def __init__(self, model: OutlineHead) -> None:
        super().__init__()
        self.model = model

    def forward(self, *batch: Any) -> Losses:
        """See :class:`vicl.training.objectives.objective.Objective`.

        Args:
            batch: The encoder's levels, the picture; 1 on lines, 0 beside, -1 where nobody knows;
                and the number of the step.
        """
        *levels, picture, truth, _ = batch
        dropped = [F.dropout2d(level, _DROPPED) for level in levels]
        loss = outline_loss(self.model(dropped, picture), truth)
        return Losses({"model": loss}, {})


def outline_loss(
    scores: Float[Tensor, "b p p"], truth: Float[Tensor, "b p p"]
) -> Float[Tensor, ""]:
    """Cross-entropy, the mean over places on lines and that over places that are off them."""
    on, off = outline_sides(truth)
    entropy = F.binary_cross_entropy_with_logits(scores, on.float(), reduction="none")
    sides = [(entropy * one).sum() / one.sum().clamp(min=1) for one in (on, off)]
    return _ON_LINES * sides[0] + (1 - _ON_LINES) * sides[1]


def outline_sides(
    truth: Float[Tensor, "b p p"],
) -> tuple[Bool[Tensor, "b p p"], Bool[Tensor, "b p p"]]:
    """Places on lines, and places that are known to be off them: lines are drawn inexactly."""
    on = truth > 0.5
    near = F.max_pool2d(on[:, None].float(), _BESIDE, 1, _BESIDE // 2)[:, 0] > 0
    return on, (truth == 0) & ~near
