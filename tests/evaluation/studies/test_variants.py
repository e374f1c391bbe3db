from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.discs import Discs, Level
from tests.evaluation.studies.toy import Toy

from vicl.engine import Filled
from vicl.evaluation.episodes import Case, Episode
from vicl.evaluation.running.results import EvaluationError
from vicl.evaluation.running.run_folder import read_run
from vicl.evaluation.scoring.scorers import Scores, scorer_for
from vicl.evaluation.studies.variants import Asking, Measured, Shown, first, make_rows, measure
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
        return first(1)(prompt)

    variants = {
        ("right", "copy"): Shown(Copy(), show),
        ("right", "identity"): Shown(Identity(), show),
        ("wrong", "copy"): Shown(Copy(), read=lambda answer: Filled(1 - answer.image)),
    }
    measured = measure(variants, toy, toy.episodes(20, examples=2), Asking())
    named = [(m.variant, m.engine, len(m.scores)) for m in measured]
    assert named == [("right", "copy", 20), ("right", "identity", 20), ("wrong", "copy", 20)]
    assert shown == [2] * 40
    assert loaded == list(range(20))
    assert all(scores.values["iou"] == 1 for scores in measured[0].scores)
    assert all(scores.values["iou"] == 0 for scores in measured[2].scores)
    for size in (1, 7):
        again = measure(variants, toy, toy.episodes(20, examples=2), Asking(batch_size=size))
        assert [m.scores[3].values for m in again] == [m.scores[3].values for m in measured]


def test_a_study_that_was_stopped_goes_on(tmp_path: Path) -> None:
    """As any run does: nothing that is journalled is answered again."""
    discs, asking = Discs(), Asking(out=tmp_path, batch_size=2)
    episodes = discs.episodes(6)

    def variants(level: Level) -> dict[tuple[str, str], Any]:
        return {("plain", "copy"): Copy(), ("dim", "level"): level}

    whole = measure(variants(Level()), discs, episodes, replace(asking, out=tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        measure(variants(Level(stops_after=2)), discs, episodes, asking)
    with pytest.raises(EvaluationError, match="go on with it by --resume"):
        measure(variants(Level()), discs, episodes, asking)
    level = Level()
    again = measure(variants(level), discs, episodes, replace(asking, resume=True))
    assert [m.scores for m in again] != []
    assert [[s.values for s in m.scores] for m in again] == [
        [s.values for s in m.scores] for m in whole
    ]
    _, _, records = read_run(tmp_path / "run")
    assert {record.engine for record in records} == {"copy: plain", "level: dim"}
    # Four of six, and some once more for the contact sheets.
    assert len(set(level.asked[:4])) == 4
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert found["wall_clock"]["from_earlier"] == len(records) - found["wall_clock"]["answered"]
    assert (tmp_path / "run" / "index.html").is_file()
    with pytest.raises(EvaluationError, match=r"options\.lr \(was absent, is 1\)"):
        measure(variants(level), discs, episodes, replace(asking, resume=True, options={"lr": 1}))


@pytest.mark.slow
def test_workers_score_a_study_alike() -> None:
    discs = Discs()
    episodes = discs.episodes(4)
    variants: dict[tuple[str, str], Any] = {("a", "level"): Level(0.5), ("b", "copy"): Copy()}
    here, beside = (
        measure(variants, discs, episodes, Asking(workers=workers)) for workers in (0, 1)
    )
    for one, other in zip(here, beside, strict=True):
        assert [s.values for s in one.scores] == [s.values for s in other.scores]


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
    variants = {("turned", "m"): Refusing(), ("plain", "copy"): Copy()}
    with pytest.raises(EvaluationError, match="m: turned: a hole that is too small"):
        measure(variants, toy, toy.episodes(1), Asking())
    with pytest.raises(EvaluationError, match=r"1 of 3 .*episode 1: .*no such file"):
        measure({("a", "copy"): Copy()}, Discs((1,)), Discs().episodes(3), Asking())
    with pytest.raises(EvaluationError, match="episodes: got none"):
        measure({("a", "copy"): Copy()}, toy, [], Asking())
    with pytest.raises(ValueError, match="count: got 0"):
        Asking(count=0)
