"""Choosing by itself: what is taken, what stays, and what is told of the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.selection.encoders import Mean, labelled
from tests.stand_ins import Mirror

from vicl.engine import InContextModel, Inpainter
from vicl.models.floors import Copy
from vicl.prompt import Example
from vicl.prompting.automatic import Candidate, Choice, choose_by_itself
from vicl.selection.index import encode_pool
from vicl.selection.pool import open_pool
from vicl.selection.selectors import Nearest
from vicl.tasks import Task, get_task

EXAMPLES = [Example(np.full((4, 4, 3), 20 * k, np.uint8), np.zeros((4, 4))) for k in range(6)]
SOME = np.linspace(0, 0.1, 6)


@dataclass(frozen=True)
class Toy:
    """A prompter of which a table says how good it is."""

    model: InContextModel | Inpainter
    task: Task
    scoring: Callable[[Sequence[Example], Example], float]

    def score(self, examples: Sequence[Example], truth: Example) -> float:
        return self.scoring(examples, truth)


def chosen(
    scores: Callable[[Candidate, int], float],
    *,
    task: str = "segmentation",
    canvas: bool = False,
    any_engine: bool = True,
    **settings: Any,
) -> Choice:
    def make(candidate: Candidate) -> Toy:
        def score(examples: Sequence[Example], truth: Example) -> float:
            assert len(examples) == len(EXAMPLES) - 1
            place = next(k for k, one in enumerate(EXAMPLES) if one is truth)
            assert all(one is not truth for one in examples)
            return scores(candidate, place)

        return Toy(Mirror() if canvas else Copy(), get_task(task), score)

    return choose_by_itself(make, EXAMPLES, settings=settings, any_engine=any_engine)


def test_a_better_engine_is_taken_and_no_equal_one() -> None:
    found = chosen(lambda one, k: (0.8 if one.model == "default" else 0.5) + float(SOME[k]) / 9)
    assert found.candidate.model == "default"
    names = [trial.name for trial in found.trials]
    assert names == ["copy", "default", "analogies", "matching+default"]
    assert str(found).startswith("chosen by IoU, leaving one out: default: 0.8")
    assert found.chosen.interval is not None
    assert found.chosen.interval.n == 6
    even = chosen(lambda one, k: 0.5 + float(SOME[k]))
    assert even.candidate.model is None
    assert len(even.trials) == 4


def test_noise_changes_nothing() -> None:
    """One that is better on most, by luck, is not taken; one that is so on all is."""
    rng = np.random.default_rng(0)
    table = {"default": rng.normal(0.02, 0.1, 6), "analogies": rng.normal(0.3, 0.02, 6)}
    better = {k: v for k, v in table.items() if k == "default"}
    assert better["default"].mean() > 0
    same = chosen(lambda one, k: 0.5 + float(better.get(str(one.model), np.zeros(6))[k]))
    assert same.candidate.model is None
    assert chosen(
        lambda one, k: 0.5 + float(table.get(str(one.model), np.zeros(6))[k])
    ).candidate.model == ("analogies")


def test_views_of_a_canvas_and_what_is_fixed() -> None:
    def score(one: Candidate, k: int) -> float:
        return (0.9 if "fuse" in one.settings else 0.4) + float(SOME[k]) / 9

    found = chosen(score, canvas=True)
    assert found.candidate.settings == {"arrangements": 8, "fuse": "logits"}
    fixed = chosen(score, canvas=True, any_engine=False, fuse="answers")
    assert [trial.name for trial in fixed.trials] == [
        "mirror",
        "mirror arrangements=8",
        "mirror spins=4",
    ]
    assert fixed.candidate.settings == {}


def test_one_that_fails_is_told_and_left() -> None:
    def score(one: Candidate, k: int) -> float:
        if one.model == "analogies":
            raise ValueError("analogies: has no roots")
        return 0.5 + float(SOME[k])

    found = chosen(score)
    assert "analogies: has no roots" in [trial.fault for trial in found.trials]
    assert found.candidate.model is None


def test_the_time_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate that was not scored to its end is not taken, however good it began."""
    clock = iter(np.arange(0, 1000, 10.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    found = chosen(lambda one, k: 0.5 if one.model is None else 1.0)
    assert found.candidate.model is None
    assert [trial.fault for trial in found.trials] == ["the time was up"]
    clock = iter(np.arange(0, 1000, 5.0))
    found = chosen(lambda one, k: 0.5 if one.model is None else 1.0)
    assert found.chosen.fault == ""
    assert {trial.fault for trial in found.trials[1:]} == {"the time was up"}


def test_what_cannot_be_chosen_by_is_refused() -> None:
    toy = Toy(Copy(), get_task("edges"), lambda examples, truth: 1.0)
    with pytest.raises(ValueError, match="needs two examples or more, got 1"):
        choose_by_itself(lambda one: toy, EXAMPLES[:1], settings={})
    for seconds in (0.0, -5.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"auto: got {seconds}, expected"):
            choose_by_itself(lambda one: toy, EXAMPLES, settings={}, seconds=seconds)


def test_of_fewer_than_five_the_first_stays() -> None:
    """Two that are all wrong and all right by the other are a common chance."""

    def make(candidate: Candidate) -> Toy:
        return Toy(Copy(), get_task("edges"), lambda *_: float(candidate.model is not None))

    few = choose_by_itself(make, EXAMPLES[:4], settings={})
    assert few.candidate.model is None
    assert choose_by_itself(make, EXAMPLES[:5], settings={}).candidate.model == "default"


def test_one_that_answers_less_is_not_taken() -> None:
    def score(one: Candidate, k: int) -> float:
        if one.model == "default" and k == 0:
            raise ValueError("no answer")
        return float(one.model == "default")

    found = chosen(score)
    assert found.candidate.model is None
    assert len(found.trials[1].values) == 5


def test_of_a_pool_the_number_of_examples_is_chosen(tmp_path: Path) -> None:
    nearest = Nearest(encode_pool(open_pool(labelled(tmp_path / "p")), Mean()))
    seen: set[int] = set()

    def score(examples: Sequence[Example], truth: Example) -> float:
        assert truth.input not in [one.input for one in examples]
        seen.add(len(examples))
        return len(examples) / 10

    toy = Toy(Copy(), get_task("image"), score)
    found = choose_by_itself(lambda one: toy, nearest, settings={}, any_engine=False)
    assert found.candidate.selector is not None
    assert found.candidate.selector.examples == 3
    names = [trial.name for trial in found.trials]
    assert names[:3] == ["copy nearest 1", "copy nearest 3", "copy nearest 5"]
    assert names[3:] == ["copy diverse 1", "copy random 1"]
    assert seen == {1, 3}
