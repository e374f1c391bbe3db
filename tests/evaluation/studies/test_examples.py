from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.studies.toy import Toy, scores_of

from vicl.evaluation.scoring.scorers import scorer_for
from vicl.evaluation.studies import examples
from vicl.evaluation.studies.table import StudyTable
from vicl.evaluation.studies.variants import Asking
from vicl.models.floors import Copy
from vicl.prompt import Prompt

TOY, COUNT = Toy(flipped=0.3), 12
"""Each example's output is the truth with three squares in ten wrong, so that Copy of several, by
their mean, outvotes the errors."""


@pytest.fixture(scope="module")
def table() -> StudyTable:
    return examples.run({"copy": Copy()}, TOY, Asking(count=COUNT))


def test_more_examples_help(table: StudyTable) -> None:
    one, three, seven = (
        scores_of(table, name, "copy") for name in ("1 example", "3 examples", "7 examples")
    )
    assert one < three < seven
    row = next(row for row in table.rows if row.variant == "7 examples")
    assert row.difference.low > 0


def test_single_examples_spread_between_worst_and_best(table: StudyTable) -> None:
    names = ["1 example", *(f"example {n} alone" for n in range(2, 8))]
    assert list(table.variants) == [
        *(f"{n} example{'s' * (n > 1)}" for n in range(1, 8)),
        *names[1:],
        "the worst example alone",
        "the best example alone",
    ]
    rows = {row.variant: row for row in table.rows}
    alone = np.array([rows[name].scores for name in names])  # (7, episodes)
    assert rows["the worst example alone"].scores == tuple(alone.min(axis=0))
    assert rows["the best example alone"].scores == tuple(alone.max(axis=0))
    # Against answers to the single examples, asked for plainly.
    scorer, answers = scorer_for("segmentation"), []
    for episode in TOY.episodes(COUNT, examples=7):
        case = TOY.load(episode)
        prompts = [Prompt([example], case.prompt.query) for example in case.prompt.examples]
        answers.append(
            [scorer.score(case, answer).values["iou_cell"] for answer in Copy().answer(prompts)]
        )
    assert np.array_equal(alone.T, np.array(answers))
    sets, queries = alone.mean(axis=1).std(ddof=1), alone.std(axis=0, ddof=1).mean()
    assert f"whole set's score {sets:.3f}, of one query's {queries:.3f}" in table.notes[0]


def test_the_axis_is_the_number_of_examples(table: StudyTable) -> None:
    places = dict(zip((row.variant for row in table.rows), table.x, strict=True))
    assert places["1 example"] == places["example 5 alone"] == 1
    assert places["6 examples"] == 6
    assert places["the best example alone"] is None


def test_for_errors_the_least_is_the_best() -> None:
    table = examples.run({}, Toy("colorization", flipped=0.3), Asking(count=3), most=2)
    worst = scores_of(table, "the worst example alone", "copy")
    assert worst > scores_of(table, "the best example alone", "copy")
    with pytest.raises(ValueError, match="most: got 1"):
        examples.run({}, TOY, Asking(), most=1)
