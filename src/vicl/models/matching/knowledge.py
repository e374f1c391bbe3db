"""What a class's examples teach: places to match with and, from two examples on, a correction.

With several examples each can be asked about by the others, as a query whose answer is known. A
light classifier over the same cues then learns what the head gets wrong on this user's pictures;
how far it is trusted is decided by leaving one example out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.models.matching.cues import PLACE, Knowledge, Marks, compare, gather, learn, together
from vicl.models.matching.head import MatchingHead, Scored
from vicl.models.matching.view import FINE, MIDDLE, View

_ASKED: Final = 6
"""At most so many examples are asked about."""

_TRUSTS: Final = (0.0, 0.5, 1.0)
"""How far a correction may be trusted."""

_MARGIN: Final = 0.01
"""By how much a correction has to better the mean IoU of the examples that were left out."""

SURE_IN, SURE_OUT = 0.7, -5.0
"""Log-odds from which, and up to which, a query's own places are taken as marked and not."""

LARGE: Final = 8.0
"""Log-odds are kept within it before their mean is taken."""

_RIDGE: Final = 0.02
_ROUNDS: Final = 8
BOUND: Final = 6.0


@dataclass(frozen=True, eq=False)
class Correction:
    """Added to the head's log-odds: a linear function of the cues, on the middle grid.

    Attributes:
        weights: Of the standardised cues, and of 1.
        mean: Of the cues, over the examples.
        spread: Their standard deviation.
    """

    weights: Float[Tensor, " w"]
    mean: Float[Tensor, " c"]
    spread: Float[Tensor, " c"]

    def of(self, cues: Float[Tensor, "c m m"]) -> Float[Tensor, "m m"]:
        """What to add."""
        rows = (cues.flatten(1).T - self.mean) / self.spread
        found = rows.clamp(-4, 4) @ self.weights[:-1] + self.weights[-1]
        return found.reshape(cues.shape[1:])


@dataclass(frozen=True, eq=False)
class ClassKnowledge:
    """What the examples teach about one class.

    Attributes:
        known: What is matched with.
        correction: Where several examples say that it helps.
    """

    known: Knowledge
    correction: Correction | None = None


@dataclass(frozen=True, eq=False)
class _Asked:
    """One example, asked about by the others."""

    cues: Float[Tensor, "c m m"]
    odds: Float[Tensor, "m m"]
    inside: Float[Tensor, "m m"]
    known: Float[Tensor, "m m"]

    def iou(self, added: Tensor | float) -> float:
        """Of the answer with a correction."""
        marked, wanted = (self.odds + added > 0), self.inside > 0.5 * self.known
        there = self.known > 0.5
        union = ((marked | wanted) & there).sum()
        return float((marked & wanted & there).sum() / union) if union else 1.0


def learn_class(
    views: Sequence[View], marks: Sequence[Marks], head: MatchingHead
) -> ClassKnowledge:
    """Learn a class from examples, of which at least one marks it."""
    known = learn(views, marks)
    if len(views) < 2:
        return ClassKnowledge(known)
    chosen = torch.linspace(0, len(views) - 1, min(_ASKED, len(views))).round().int().tolist()
    asked = [
        _ask(views[i], marks[i], [*views[:i], *views[i + 1 :]], [*marks[:i], *marks[i + 1 :]], head)
        for i in chosen
        if any(mark.inside.any() for mark in (*marks[:i], *marks[i + 1 :]))
    ]
    return ClassKnowledge(known, _trusted(asked) if len(asked) > 1 else None)


def answer_class(
    learned: ClassKnowledge,
    query: View,
    head: MatchingHead,
    *,
    placeless: bool = False,
    twice: bool = False,
) -> Scored:
    """Score a query, on its picture's grid; a batch of one.

    Args:
        learned: Of the class.
        query: Looked at.
        head: Decides.
        placeless: Where the examples' things are does not matter.
        twice: Then ask again, the query's own surest places beside the examples', and take the
            mean of both: things of one picture are more like one another than like those of
            another (Fan et al. 2022, "Self-support few-shot semantic segmentation", section 3.2).
    """
    compared = compare(learned.known, query)
    cues, fine = gather(compared, query)
    if placeless:
        cues[PLACE] = 0
    scored = _score(head, cues, fine, query)
    own = _surest(scored.mask)
    if twice and own.inside.any():
        again = gather(together(compared, compare(learn([query], [own]), query)), query)
        scored = scored._replace(mask=(scored.mask + _score(head, *again, query).mask) / 2)
    if learned.correction is None:
        return scored
    added = learned.correction.of(cues).clamp(-BOUND, BOUND)
    size = scored.mask.shape[1:]
    grown = F.interpolate(added[None, None], size, mode="bilinear", align_corners=False)[0]
    return scored._replace(mask=scored.mask + grown)


def _surest(odds: Float[Tensor, "1 p p"]) -> Marks:
    """What an answer is sure of, on either side."""
    mean = F.adaptive_avg_pool2d(odds.clamp(-LARGE, LARGE), FINE)[0]
    return Marks((mean > SURE_IN).float(), (mean < SURE_OUT).float())


def _ask(
    view: View,
    mark: Marks,
    others: Sequence[View],
    marks: Sequence[Marks],
    head: MatchingHead,
) -> _Asked:
    cues, fine = gather(compare(learn(others, marks), view), view)
    odds = F.adaptive_avg_pool2d(_score(head, cues, fine, view).mask, MIDDLE)[0]
    inside, outside = (side.reshape(MIDDLE, MIDDLE) for side in mark.on(MIDDLE))
    return _Asked(cues, odds.clamp(-BOUND, BOUND), inside, inside + outside)


def _score(head: MatchingHead, cues: Tensor, fine: Tensor, view: View) -> Scored:
    scored: Scored = head(cues[None], fine[None], view.levels[0][None], view.picture[None])
    return scored


def _trusted(asked: Sequence[_Asked]) -> Correction | None:
    """A correction as far as it bettered examples that it was not fitted to."""
    gained = [0.0] * len(_TRUSTS)
    for index, one in enumerate(asked):
        added = _fit([*asked[:index], *asked[index + 1 :]]).of(one.cues)
        for place, trust in enumerate(_TRUSTS):
            gained[place] += one.iou(trust * added) / len(asked)
    best = max(range(len(_TRUSTS)), key=lambda place: gained[place])
    if gained[best] < gained[0] + _MARGIN:
        return None
    found = _fit(asked)
    return Correction(_TRUSTS[best] * found.weights, found.mean, found.spread)


def _fit(asked: Sequence[_Asked]) -> Correction:
    """Logistic regression from the head's log-odds on, with a ridge, by Newton's method."""
    rows = torch.cat([one.cues.flatten(1).T for one in asked])
    start = torch.cat([one.odds.flatten() for one in asked])
    known = torch.cat([one.known.flatten() for one in asked]).clamp(0, 1)
    wanted = torch.cat([one.inside.flatten() for one in asked]) / known.clamp(min=1e-3)
    mean, spread = rows.mean(0), rows.std(0) + 1e-3
    values = torch.cat([((rows - mean) / spread).clamp(-4, 4), torch.ones_like(rows[:, :1])], 1)
    share = known / known.sum().clamp(min=1)
    ridge = torch.full((values.shape[1],), _RIDGE).to(values)
    weights = values.new_zeros(values.shape[1])
    for _ in range(_ROUNDS):
        chance = torch.sigmoid(start + values @ weights)
        slope = values.T @ (share * (chance - wanted)) + ridge * weights
        bend = (values * (share * chance * (1 - chance))[:, None]).T @ values + ridge.diag()
        weights = weights - torch.linalg.solve(bend, slope)
    return Correction(weights, mean, spread)
