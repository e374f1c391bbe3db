"""The losses of promptable segmentation, and the clicks that follow a first prompt."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.models.matching.view import FINE
from vicl.models.promptable.guidance import Guide
from vicl.models.promptable.network import Neck, Odds, PromptableNet
from vicl.training.objectives.objective import Losses, Objective
from vicl.training.promptable.prompts import depth_of
from vicl.training.seeds import Purpose, numbers

_OTHERS: Final = 0.05
"""Weight of the candidates that are not the best."""

_WITHOUT: Final = 0.3
"""Share of the rounds in which the mask of the round before is not shown."""


class PromptableObjective(Objective):
    """The best candidate's cross-entropy and Dice, a little of the others', and the IoU's error.

    A first prompt is followed by a random number of clicks; the last answer is learned from.

    Args:
        model: What learns.
        rounds: Answers to a prompt, at most.
        seed: Of the clicks.
    """

    model: PromptableNet

    def __init__(self, model: PromptableNet, rounds: int, seed: int) -> None:
        super().__init__()
        self.model, self.rounds, self.seed = model, rounds, seed

    def forward(self, *batch: Any) -> Losses:
        """See :class:`vicl.training.objectives.objective.Objective`.

        Args:
            batch: Levels, picture, truth, the parts of a guide, and the number of the step.
        """
        *levels, picture, truth, points, labels, box, earlier, step = batch
        rng = numbers(self.seed, Purpose.CLICKS, int(step))
        guide = shortened(Guide(points, labels, box, earlier))
        neck = self.model.encode(tuple(levels), picture)
        kept = _detached(neck)
        # Half of the steps learn from the first answer, the others from any later one.
        rounds = 1 if rng.random() < 0.5 else int(rng.integers(1, self.rounds + 1))
        for _ in range(rounds - 1):
            with torch.no_grad():
                guide = corrected(rng, self.model(kept, guide), truth, guide)
        found = self.model(neck, guide)
        each, overlaps = losses_of(found, truth)
        best = each.min(1).values
        others = (each.sum(1) - best) / max(1, each.shape[1] - 1)
        off = (found.ious - overlaps).square().mean()
        loss = (best + _OTHERS * others).mean() + off
        figures = {
            "best": overlaps.max(1).values.mean(),
            "first": overlaps.gather(1, found.ious.argmax(1, keepdim=True)).mean(),
            "off": off.detach(),
        }
        return Losses({"model": loss}, figures)


def losses_of(
    found: Odds, truth: Float[Tensor, "b p p"]
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """Of each candidate, cross-entropy plus 1 - Dice, and the IoU that it has.

    Args:
        found: What was answered.
        truth: 1, 0, or -1 where nobody knows.
    """
    known = (truth >= 0).float()[:, None]
    wanted = truth.clamp(min=0)[:, None].expand_as(found.masks)
    entropy = F.binary_cross_entropy_with_logits(found.masks, wanted, reduction="none")
    entropy = (entropy * known).sum((2, 3)) / known.sum((2, 3)).clamp(min=1)
    chance, wanted = torch.sigmoid(found.masks) * known, wanted * known
    both = (chance * wanted).sum((2, 3))
    dice = 1 - (2 * both + 1) / (chance.sum((2, 3)) + wanted.sum((2, 3)) + 1)
    return entropy + dice, overlaps_of(found.masks.detach(), truth)


def overlaps_of(
    masks: Float[Tensor, "b n p p"], truth: Float[Tensor, "b p p"]
) -> Float[Tensor, "b n"]:
    """IoU of each candidate with the truth, where that is known."""
    known, wanted = (truth >= 0)[:, None], (truth > 0.5)[:, None]
    answer = (masks > 0) & known
    both = (answer & wanted).sum((2, 3))
    return both / (answer | wanted).sum((2, 3)).clamp(min=1)


def corrected(rng: Generator, found: Odds, truth: Float[Tensor, "b p p"], guide: Guide) -> Guide:
    """The prompts with one click more, in the largest error of the answer that is gone on with.

    That is the answer of the highest score, now and then the one that is truly the best, as of a
    person who picks.
    """
    picked = found.ious.argmax(1)
    if rng.random() < 0.3:
        picked = overlaps_of(found.masks, truth).argmax(1)
    masks = found.masks[torch.arange(len(picked)), picked]
    points, labels = next_clicks(rng, masks, truth)
    earlier = F.adaptive_avg_pool2d(torch.sigmoid(masks)[:, None], FINE)[:, 0]
    if rng.random() < _WITHOUT:
        earlier = torch.full_like(earlier, -1)
    return Guide(
        torch.cat([guide.points, points.to(guide.points)[:, None]], 1),
        torch.cat([guide.labels, labels.to(guide.labels)[:, None]], 1),
        guide.box,
        earlier,
    )


def next_clicks(
    rng: Generator, masks: Float[Tensor, "b p p"], truth: Float[Tensor, "b p p"]
) -> tuple[Float[Tensor, "b 2"], Tensor]:
    """A click in the heart of the largest error, in shares of the image, and its label.

    The label is 1 where something is missing, 0 where too much is there, -1 where all is right.
    """
    small = F.adaptive_avg_pool2d(
        torch.stack([masks > 0, truth > 0.5, truth >= 0], 1).float(), FINE
    )
    answers, wanted, known = (one.cpu().numpy() > 0.5 for one in small.unbind(1))
    points, labels = [], []
    for answer, want, sure in zip(answers, wanted, known, strict=True):
        missing, wrong = depth_of(want & ~answer & sure), depth_of(answer & ~want & sure)
        label = int(missing.max() >= wrong.max())
        far = missing if label else wrong
        if far.max() == 0:
            points.append((0.0, 0.0))
            labels.append(-1)
            continue
        rows, columns = np.nonzero(far >= 0.7 * far.max())
        one = int(rng.integers(len(rows)))
        points.append(((columns[one] + 0.5) / FINE, (rows[one] + 0.5) / FINE))
        labels.append(label)
    return torch.tensor(points), torch.tensor(labels)


def shortened(guide: Guide) -> Guide:
    """Without the places for points that no prompt of the batch has; one is kept."""
    count = max(1, int((guide.labels >= 0).sum(1).max()))
    return Guide(guide.points[:, :count], guide.labels[:, :count], guide.box, guide.earlier)


def _detached(neck: Neck) -> Neck:
    compared = {name: level.detach() for name, level in neck.compared.items()}
    coarse, middle, fine = (part.detach() for part in (neck.coarse, neck.middle, neck.fine))
    return Neck(coarse, middle, fine, neck.picture, compared)
