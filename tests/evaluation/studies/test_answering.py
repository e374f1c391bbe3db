from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.evaluation.studies.toy import Toy

from vicl.engine import Filled
from vicl.evaluation.episodes import Case, Episode
from vicl.evaluation.scoring.scorers import Scores, scorer_for
from vicl.evaluation.studies.answering import Measured, Variant, make_rows, measure
from vicl.metrics.edges import EdgeCounts, edge_f
from vicl.models.floors import Copy, Identity
from vicl.prompt import Prompt

SCORER = scorer_for("segmentation")


def test_every_variant_answers_every_episode_loaded_once() -> None:
    toy = Toy(flipped=0.0)
    loaded: list[int] = []
    shown: list[int] = []
    load = toy.load

    def counted(episode: Episode) -> Case:
        loaded.append(episode.index)
        return load(episode)

    object.__setattr__(toy, "load", counted)

    def show(prompt: Prompt) -> Prompt:
        shown.append(len(prompt.examples))
        return Prompt(prompt.examples[:1], prompt.query)

    variants = [
        Variant("right", (Copy(), Identity()), show),
        Variant("wrong", (Copy(),), read=lambda answer: Filled(1 - answer.image)),
    ]
    measured = measure(variants, toy, toy.episodes(20, examples=2), SCORER)
    named = [(m.variant, m.engine, len(m.scores)) for m in measured]
    assert named == [("right", "copy", 20), ("right", "identity", 20), ("wrong", "copy", 20)]
    assert shown == [2] * 40
    assert loaded == list(range(20))
    assert all(scores.values["iou"] == 1 for scores in measured[0].scores)
    assert all(scores.values["iou"] == 0 for scores in measured[2].scores)
    for size in (1, 7):
        again = measure(variants, toy, toy.episodes(20, examples=2), SCORER, batch_size=size)
        assert [m.scores[3].values for m in again] == [m.scores[3].values for m in measured]


def test_rows_are_paired_with_the_engines_first() -> None:
    def of(*values: float) -> tuple[Scores, ...]:
        return tuple(Scores({"iou_cell": v, "iou": v, "pixel_accuracy": v}) for v in values)

    rows = make_rows(
        [
            Measured("a", "m", of(0.0, 0.5, 1.0)),
            Measured("a", "n", of(0.2, 0.2, 0.2)),
            Measured("b", "m", of(0.1, 0.6, 1.1)),
            Measured("b", "n", of(0.2, 0.5)),
        ],
        SCORER,
    )
    assert [row.difference is None for row in rows] == [True, True, False, True]
    assert rows[0].interval.mean == 0.5
    assert rows[0].scores == (0.0, 0.5, 1.0)
    paired = rows[2].difference
    np.testing.assert_allclose([paired.mean, paired.low, paired.high], 0.1)


def test_edges_are_scored_as_a_set() -> None:
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(4):
        total, truth = rng.integers(20, 40, 2), np.full(2, 30)
        matched = rng.integers(0, 20, 2)
        counts.append(EdgeCounts(np.array([0.3, 0.6]), matched, total, matched, truth))
    scores = tuple(Scores({"edge_ods": 0.0, "edge_ois": 0.0}, one) for one in counts)
    (row,) = make_rows([Measured("a", "m", scores)], scorer_for("edges"))
    assert row.interval.mean == pytest.approx(edge_f(counts).ods.f)


def test_what_cannot_be_answered_is_named() -> None:
    class Refusing(Copy):
        def answer(self, prompts: Any, *, samples: int = 1, seed: int = 0) -> Any:
            raise ValueError("a hole that is too small")

    toy = Toy()
    with pytest.raises(ValueError, match="turned: a hole that is too small"):
        measure([Variant("turned", (Refusing(),))], toy, toy.episodes(1), SCORER)
    with pytest.raises(ValueError, match="episodes: got none"):
        measure([Variant("a", (Copy(),))], toy, [], SCORER)
    for engines in ((), (Copy(), Copy())):
        with pytest.raises(ValueError, match="each with a name of its own"):
            Variant("a", engines)
