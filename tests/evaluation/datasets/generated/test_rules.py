"""Episodes of the synthetic rules, and their scores against ones counted pixel by pixel."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from vicl.engine import Filled
from vicl.evaluation.datasets.generated.rules import SETS, RuleEpisodes, _rng
from vicl.evaluation.episodes import Case, Dataset, DatasetError, Truth, read_listing, write_listing
from vicl.evaluation.reporting.rule_table import by_rule, to_json, to_markdown
from vicl.evaluation.running.engines import FLOORS
from vicl.evaluation.running.runner import evaluate
from vicl.evaluation.scoring.rules import VISIBLE_PSNR, rule_scores
from vicl.evaluation.scoring.scorers import scorer_for
from vicl.figures.synthetic.rules import HELD_OUT_RULES, RULES, TRAINING_MIXTURE
from vicl.figures.synthetic.rules.paper import PAPER_TASKS
from vicl.figures.synthetic.scenes.families import FAMILIES, HELD_OUT_FAMILIES
from vicl.images import to_tensor
from vicl.metrics import bootstrap_statistic, mean_of, mean_of_known
from vicl.models.floors import Copy, Identity
from vicl.prompt import Example, Prompt

SMALL = 40


def case_of(part: str, rule: str, *, examples: int = 1, size: int = SMALL) -> Case:
    data = RuleEpisodes(part, size)  # type: ignore[arg-type]
    drawn = data.episodes(len(data.rules), examples=examples)
    return data.load(next(episode for episode in drawn if episode.class_name == rule))


# What is drawn


def test_the_sets_are_what_training_shows_and_what_it_never_does() -> None:
    seen, unseen, content = (RuleEpisodes(part) for part in SETS)
    assert set(seen.rules) == set(content.rules) == set(TRAINING_MIXTURE)
    assert set(unseen.rules) == set(HELD_OUT_RULES) - set(PAPER_TASKS)
    assert len(unseen.rules) >= 8
    assert not set(unseen.rules) & set(TRAINING_MIXTURE)
    shown = {
        data.part: {
            scene.family
            for index in range(8)
            for scene in data._task(data.rules[0], 0, index).scenes
        }
        for data in (seen, unseen, content)
    }
    assert shown["content"] <= set(HELD_OUT_FAMILIES)
    assert shown["seen"] | shown["unseen"] <= set(FAMILIES)


@pytest.mark.parametrize("part", SETS)
def test_episodes_are_spread_evenly_and_begin_alike(part: str) -> None:
    data = RuleEpisodes(part)  # type: ignore[arg-type]
    assert isinstance(data, Dataset)
    drawn = data.episodes()
    assert len(drawn) == 100
    times = Counter(episode.class_name for episode in drawn)
    assert set(times) == set(data.rules)
    assert max(times.values()) - min(times.values()) <= 1
    assert data.episodes(7) == drawn[:7]
    other = data.episodes(seed=1)
    assert [e.class_name for e in other] != [e.class_name for e in drawn]
    three = data.episodes(5, examples=3)
    assert [e.examples[:1] for e in three] == [e.examples for e in drawn[:5]]
    assert drawn[3].query.image == f"{part}/3/query"


def test_an_episode_is_the_same_again_and_its_first_examples_stay() -> None:
    data = RuleEpisodes("seen", SMALL)
    one, three = data.episodes(6), data.episodes(6, examples=3)
    for short, long in zip(read_listing(write_listing(one)), three, strict=True):
        few, many = RuleEpisodes("seen", SMALL).load(short), data.load(long)
        assert torch.equal(few.truth.image, many.truth.image)
        assert torch.equal(to_tensor(few.prompt.query), to_tensor(many.prompt.query))
        assert torch.equal(
            to_tensor(few.prompt.examples[0].output), to_tensor(many.prompt.examples[0].output)
        )
        shown = [to_tensor(example.input) for example in many.prompt.examples]
        assert len(shown) == 3
        assert not torch.equal(shown[0], shown[1])
        assert few.truth.image.shape == (3, SMALL, SMALL)
    parts = [RuleEpisodes(part, SMALL) for part in ("seen", "content")]  # type: ignore[arg-type]
    pictures = [case_of(p.part, "negative").truth.image for p in parts]
    assert not torch.equal(*pictures)
    assert parts[0].fingerprint != parts[1].fingerprint
    assert parts[0].fingerprint != RuleEpisodes("seen").fingerprint


def test_what_is_drawn_shows_the_rule() -> None:
    case = case_of("seen", "negative")
    pairs = [(e.input, e.output) for e in case.prompt.examples]
    for before, after in [*pairs, (case.prompt.query, case.truth.image)]:
        assert torch.allclose(to_tensor(after), 1 - to_tensor(before), atol=1e-6)


def test_no_figure_of_training_is_drawn_from_the_same_numbers() -> None:
    # Training seeds each figure by [seed, number], which fill at most the four words of 32 bits of
    # the pool as long as seeds and numbers are under 2**64; ours always have a fifth.
    for number in (0, 2**32 - 1):
        ours: Any = _rng("seen, mask", number, number).bit_generator.seed_seq
        assert len(ours.entropy) == 2
        assert len(ours.spawn_key) == 1
        longer = np.random.SeedSequence([number, number, 0, 0, *ours.spawn_key])
        assert np.array_equal(ours.generate_state(8), longer.generate_state(8))
        assert ours.spawn_key[0] > 0
    streams = [_rng(*key).random() for key in (("seen, mask", 0, 0), ("seen, mask", 0, 1))]
    streams += [_rng(*key).random() for key in (("seen, mask", 1, 0), ("content, mask", 0, 0))]
    assert len(set(streams)) == 4


def test_what_is_not_of_the_set_is_refused() -> None:
    data = RuleEpisodes("seen", SMALL)
    episode = data.episodes(1)[0]
    strange = replace(episode.query, image="seen/1/query")
    unseen = RuleEpisodes("unseen", SMALL).episodes(1)[0]
    for wrong in (replace(episode, query=strange), unseen, replace(episode, index=5)):
        with pytest.raises(DatasetError, match="is none of 'rules at 40 px, seen'"):
            data.load(wrong)
    with pytest.raises(ValueError, match="size: got 8"):
        RuleEpisodes("seen", 8)
    for count, examples in ((0, 1), (1, 0), (1, 9)):
        with pytest.raises(ValueError, match="1 to 8 examples"):
            data.episodes(count, examples=examples)


# Scores


def scored(case: Case, image: torch.Tensor) -> dict[str, float]:
    return rule_scores(case, Filled(image))


def plain_psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    error = np.average((one.double().numpy() - other.double().numpy()) ** 2)
    return min(40.0, 20 * math.log10(1 / math.sqrt(error))) if error else 40.0


@pytest.mark.parametrize(
    ("part", "count"),
    [
        pytest.param("seen", None, marks=pytest.mark.slow),
        ("seen", 8),
        ("unseen", None),
        ("content", 5),
    ],
)
def test_right_answers_are_perfect_for_every_rule(part: str, count: int | None) -> None:
    data = RuleEpisodes(part, SMALL)  # type: ignore[arg-type]
    for episode in data.episodes(count or len(data.rules)):
        case = data.load(episode)
        scores = scored(case, case.truth.image)
        measure = RULES[episode.class_name].measure
        assert set(scores) == {"psnr_gain", measure}
        assert scores[measure] == pytest.approx(VISIBLE_PSNR if measure == "psnr" else 1.0)
        floors = [engine.answer([case.prompt])[0].image for engine in (Copy(), Identity())]
        best = max(plain_psnr(floor, case.truth.image) for floor in floors)
        assert scores["psnr_gain"] == pytest.approx(40 - best, abs=1e-3)
        gains = [scored(case, floor)["psnr_gain"] for floor in floors]
        assert max(gains) == pytest.approx(0)


def test_masks_are_read_by_the_nearer_colour() -> None:
    red, blue = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
    on, off = (torch.tensor(colour)[:, None, None] for colour in (red, blue))
    right = torch.zeros(1, 4, 4, dtype=torch.bool)
    right[:, :2] = True
    query = torch.zeros(3, 4, 4)
    truth = Truth(torch.where(right, on, off), name="mask-colours", ink=(red, blue))
    case = Case(Prompt([Example(query, query)], query), truth)
    answer = truth.image.clone()
    answer[:, 0, 0] = torch.tensor([0.4, 0.9, 0.5])  # nearer to blue
    answer[:, 3, :2] = torch.tensor([0.6, 0.9, 0.5])[:, None]  # nearer to red
    assert scored(case, answer)["iou"] == pytest.approx(7 / 10)
    swapped = Case(case.prompt, replace(truth, ink=(blue, red)))
    assert scored(swapped, answer)["iou"] == pytest.approx(6 / 9)
    with pytest.raises(ValueError, match="expected a rule's name"):
        scored(Case(case.prompt, Truth(truth.image)), answer)
    with pytest.raises(ValueError, match="their colours"):
        scored(Case(case.prompt, replace(truth, ink=None)), answer)


def test_lines_may_be_a_pixel_off() -> None:
    size = 111  # of whose diagonal the tolerance is 1.2 pixels
    black, white = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def line(column: int, rows: int = size) -> torch.Tensor:
        image = torch.ones(3, size, size)
        image[:, :rows, column] = 0
        return image

    query = torch.ones(3, size, size)
    truth = Truth(line(50), name="outline", ink=(black, white))
    case = Case(Prompt([Example(query, query)], query), truth)
    assert scored(case, line(51))["f"] == pytest.approx(1.0)
    assert scored(case, line(53))["f"] == 0.0
    # The half and one more, which the end of the line is within reach of.
    precision, recall = 1.0, 56 / 111
    found = scored(case, line(50, rows=56))["f"]
    assert found == pytest.approx(2 * precision * recall / (precision + recall), abs=0.01)
    assert scored(case, query)["f"] == 0.0


def test_a_set_has_the_mean_of_those_that_have_a_value() -> None:
    values = [0.25, None, 0.75, None]
    statistic = mean_of_known(values)
    draws = np.array([[0, 1, 2, 3], [0, 0, 2, 1], [1, 3, 1, 3]])
    assert statistic(draws) == pytest.approx([0.5, 1.25 / 3, 0.5])
    whole = [0.1, 0.5, 0.9]
    assert bootstrap_statistic(mean_of_known(whole), 3) == bootstrap_statistic(mean_of(whole), 3)
    with pytest.raises(ValueError, match="got no values"):
        mean_of_known([None])(np.array([[0]]))


@pytest.mark.slow
def test_rules_are_reported_one_by_one() -> None:
    data = RuleEpisodes("unseen", SMALL)
    n = len(data.rules)
    drawn = data.episodes(2 * n)
    scorer = scorer_for("rules")
    results = evaluate(FLOORS, data, drawn, scorer=scorer)
    copy = results.engine("copy")
    assert [metric.name for metric in results.metrics] == ["psnr_gain", "iou", "f", "psnr"]
    rows = by_rule(results)
    assert [row.rule for row in rows] == sorted(data.rules)
    for row in rows:
        places = [i for i, e in enumerate(drawn) if e.class_name == row.rule]
        scores = [
            scorer.score(case, Copy().answer([case.prompt])[0]).values
            for case in (data.load(drawn[i]) for i in places)
        ]
        fit = [one[RULES[row.rule].measure] for one in scores]
        assert row.episodes == 2
        assert row.fit["copy"].mean == pytest.approx(sum(fit) / 2)
        assert row.gain["copy"].mean == pytest.approx(sum(one["psnr_gain"] for one in scores) / 2)
    masks = [row.fit["copy"].mean for row in rows if row.metric.name == "iou"]
    assert copy.values["iou"].mean == pytest.approx(sum(masks) / len(masks))
    text = to_markdown([results])
    assert all(f"| {row.rule} | 2 |" in text for row in rows)
    assert len(to_json([results])) == n
    single = [e for e in drawn if RULES[e.class_name].measure == "psnr"][:1]
    alone = evaluate(FLOORS, data, single, scorer=scorer)
    assert [metric.name for metric in alone.metrics] == ["psnr_gain", "psnr"]
    rule_line = to_markdown([alone]).splitlines()[-1]
    assert "[" not in rule_line
