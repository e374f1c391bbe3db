"""Answering with a mask: weigh the cues, let the query's own colours decide, cut at a threshold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from vicl.encoders.handmade import places
from vicl.models.analogies.cues import Knowledge, evidence, learn, log_odds
from vicl.models.analogies.forests import grow_classes
from vicl.models.analogies.shapes import Map
from vicl.models.analogies.trust import WAYS, weigh
from vicl.models.analogies.view import View

MARGIN: Final = 0.1
"""By how much a simpler way must beat the table, in mean IoU over the examples left out in turn:
a few examples are few trials."""

_LEFT_OUT: Final = 4
"""At most so many examples are left out in turn."""

_WORSE: Final = 0.9
"""Score of an alternative over that of the answer before it, at most."""

_SAMPLES: Final = 3000
_TREES: Final = 24
_LEAF: Final = 30
_ROUNDS: Final = 2


@dataclass(frozen=True, eq=False)
class MaskKnowledge:
    """What the examples teach about one class.

    Attributes:
        known: From all examples.
        ways: The ways to weigh cues, best first.
    """

    known: Knowledge
    ways: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class MaskAnswer:
    """One class in one query, at the working size.

    Attributes:
        evidence: Log-odds, moved so that the answer is cut at 0.
        chance: Estimated probability of being in the mask.
        score: Expected IoU of the cut, [0, 1].
    """

    evidence: Map
    chance: Map
    score: float


def learn_mask(views: tuple[View, ...], masks: tuple[Map, ...], *, seed: int) -> MaskKnowledge:
    """Learn a class; with several examples, choose how to weigh cues by leaving one out."""
    known = learn(views, masks, seed=seed)
    count = len(views)
    if count == 1:
        return MaskKnowledge(known, WAYS)
    gained = dict.fromkeys(WAYS, 0.0)
    for left in np.linspace(0, count - 1, min(count, _LEFT_OUT)).astype(int):
        others = learn(
            views[:left] + views[left + 1 :], masks[:left] + masks[left + 1 :], seed=seed
        )
        cues, statistics, area = evidence(others, views[left])
        truth = masks[left] > 0.5
        for way in WAYS:
            found = _cut(weigh(way, cues, statistics, area)).evidence >= 0
            union = (found | truth).sum()
            gained[way] += float((found & truth).sum() / union) if union else 1.0
    gained["all"] += MARGIN * min(count, _LEFT_OUT)
    return MaskKnowledge(known, tuple(sorted(WAYS, key=lambda way: -gained[way])))


def answer_mask(
    learned: MaskKnowledge, query: View, *, samples: int, seed: int
) -> list[MaskAnswer]:
    """Find the class in a query, in up to `samples` ways, best first."""
    known = learned.known
    if known.appearance is None:  # no example shows both the class and the rest
        full = known.areas[0] > 0.5
        flat = np.full(query.inside.shape, 8.0 if full else -8.0, np.float32)
        return [MaskAnswer(flat, 1 / (1 + np.exp(-flat)), 1.0)]
    cues, statistics, area = evidence(known, query)
    answers: list[MaskAnswer] = []
    for way in learned.ways[:samples]:
        answer = _cut(_refined(query, weigh(way, cues, statistics, area), seed))
        # A later way is worse by what the examples showed, however sure it is of itself.
        limit = _WORSE * answers[-1].score if answers else 1.0
        answers.append(replace(answer, score=min(answer.score, limit)))
    return answers


def _cut(evidence: Map) -> MaskAnswer:
    """Cut where the expected IoU is greatest, if the log-odds are to be believed.

    The expected IoU of the `n` likeliest pixels is about the sum of their chances over `n` plus
    the chances left out.
    """
    chance = 1 / (1 + np.exp(-evidence.astype(np.float64)))
    falling = np.sort(chance, axis=None)[::-1]
    inside = np.cumsum(falling)
    expected = inside / (np.arange(1, falling.size + 1) + inside[-1] - inside)
    best = int(expected.argmax())
    limit = float(np.clip(falling[best], 1e-4, 1 - 1e-4))
    # Half a step below, so that the pixel at the limit is inside.
    moved = evidence - np.log(limit / (1 - limit)) + 1e-4
    return MaskAnswer(moved.astype(np.float32), chance.astype(np.float32), float(expected[best]))


def _refined(query: View, evidence: Map, seed: int) -> Map:
    """Let the query's own colours and places correct the evidence, a few times.

    A forest learns the present answer from colour and place; with large leaves it can only keep
    what is consistent within the image.

    Source: the idea is GrabCut's (Rother, Kolmogorov, Blake, SIGGRAPH 2004): colour models of the
    two sides, estimated anew from the answer itself.
    """
    size = evidence.shape[0]
    where = places(size, size)
    features = np.concatenate([query.colours, where, where], axis=-1).reshape(size * size, -1)
    rng = np.random.default_rng(seed)
    current = evidence
    offset = evidence - _cut(evidence).evidence  # what the cut adds, the same everywhere
    for _ in range(_ROUNDS):
        chosen = rng.choice(size * size, _SAMPLES, replace=False)
        inside = 1 / (1 + np.exp(-(current - offset).ravel()[chosen].astype(np.float64)))
        weights = np.concatenate([inside, 1 - inside])
        labels = np.repeat([True, False], _SAMPLES)
        heavy = weights > 0.03
        if len(set(labels[heavy])) < 2:
            return current
        forest = grow_classes(
            np.tile(features[chosen], (2, 1))[heavy],
            labels[heavy],
            weights[heavy],
            trees=_TREES,
            leaf=_LEAF,
            tried=0.5,
            seed=seed,
        )
        chance = forest.predict(features)[:, 1].reshape(size, size)
        current = 0.5 * evidence + 0.5 * (log_odds(chance.astype(np.float32)) + offset)
    return current
