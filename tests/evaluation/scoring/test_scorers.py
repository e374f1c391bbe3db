from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from tests.pictures import picture
from torch import nn

from vicl.engine import Filled
from vicl.evaluation.episodes import MEASURES_NAMES, Case, Truth
from vicl.evaluation.scoring.scorers import Scorer, Scores, scorer_for
from vicl.images import resize
from vicl.metrics import bootstrap_statistic
from vicl.metrics.edges import edge_f
from vicl.metrics.perceptual import PerceptualDistance, Trunk
from vicl.prompt import Example, Prompt


def edge_case(seed: int, *, annotators: int = 2) -> tuple[Case, Filled]:
    """A soft answer and hard lines that partly agree."""
    rng = np.random.default_rng(seed)
    lines = np.zeros((annotators, 40, 50), dtype=bool)
    for one in lines:
        one[rng.integers(5, 35)] = True
        one[:, rng.integers(5, 45)] = True
    level = rng.uniform(0.2, 0.9)  # each image has a best threshold of its own
    soft = np.clip(level * lines[0] + 0.8 * level * rng.random((40, 50)), 0, 1).astype(np.float32)
    image = torch.from_numpy(soft).expand(3, -1, -1).contiguous()
    prompt = Prompt([Example(image, image)], image)
    return Case(prompt, Truth(image, annotators=lines)), Filled(image)


def test_a_set_of_edges_is_scored_by_sums_of_counts() -> None:
    scorer = scorer_for("edges")
    scores = [scorer.score(*edge_case(seed)) for seed in range(5)]
    statistics = scorer.statistics(scores)
    whole = np.arange(5)[None]
    counts = [one.counts for one in scores if one.counts is not None]
    expected = edge_f(counts)
    assert statistics["edge_ods"](whole)[0] == pytest.approx(expected.ods.f)
    assert statistics["edge_ois"](whole)[0] == pytest.approx(expected.ois.f)
    assert 0.2 < expected.ods.f < expected.ois.f < 0.99
    # An image alone is its own set.
    alone = edge_f(counts[3:4])
    assert scores[3].values == {"edge_ods": alone.ods.f, "edge_ois": alone.ois.f}
    found = bootstrap_statistic(statistics["edge_ods"], 5, resamples=200)
    assert found.low < found.mean < found.high
    with pytest.raises(ValueError, match="1 of 2 lack counts"):
        scorer.statistics([scores[0], Scores({"edge_ods": 0.5, "edge_ois": 0.5})])


def test_edges_need_annotators() -> None:
    case, answer = edge_case(0)
    with pytest.raises(ValueError, match="no annotators"):
        scorer_for("edges").score(Case(case.prompt, Truth(case.truth.image)), answer)


def test_a_set_of_others_is_scored_by_the_mean() -> None:
    scorer = scorer_for("segmentation")
    scores = [
        Scores({"iou_cell": value, "iou": value / 2, "pixel_accuracy": 0.5})
        for value in (0.1, 0.2, 0.6)
    ]
    statistics = scorer.statistics(scores)
    draws = np.array([[0, 1, 2], [2, 2, 0]])
    assert statistics["iou_cell"](draws) == pytest.approx([0.3, 1.3 / 3])
    assert statistics["iou"](draws) == pytest.approx([0.15, 1.3 / 6])


def test_scores_read_back_from_json() -> None:
    score = scorer_for("edges").score(*edge_case(1))
    back = Scores.from_json(json.loads(json.dumps(score.to_json())))
    assert back.values == score.values
    assert back.counts is not None
    for name in ("thresholds", "matched_pred", "total_pred", "matched_truth", "total_truth"):
        one, other = getattr(back.counts, name), getattr(score.counts, name)
        assert np.array_equal(one, other)
        assert one.dtype == other.dtype
    plain = Scores({"iou": 0.1 + 0.2})
    again = Scores.from_json(json.loads(json.dumps(plain.to_json())))
    assert again.values == plain.values
    assert again.counts is None
    short = score.to_json()
    short["counts"] = short["counts"] | {"total_pred": [1]}
    several: tuple[dict[str, Any], ...] = (
        {},
        {"values": 3},
        {"values": {"iou": "x"}},
        {"values": {}, "counts": {}},
        short,
    )
    for wrong in several:
        with pytest.raises(ValueError, match=r"scores: got .*, not what was written"):
            Scores.from_json(wrong)


def test_every_kind_has_a_scorer_that_goes_to_another_process() -> None:
    for kind in MEASURES_NAMES:
        scorer = scorer_for(kind)
        assert isinstance(scorer, Scorer)
        names = [metric.name for metric in scorer.metrics]
        assert len(set(names)) == len(names) >= 2
        assert [m.name for m in pickle.loads(pickle.dumps(scorer)).metrics] == names


def test_lpips_is_measured_at_the_cell_where_there_are_weights() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU())
    distance = PerceptualDistance(Trunk(layers, (1, 3)), [torch.rand(4), torch.rand(6)])
    truth, other = picture(50, 60), picture(50, 60, seed=1)
    case = Case(Prompt([Example(other, other)], other), Truth(truth))
    for kind in ("image", "colorization"):
        scorer = scorer_for(kind, lpips=distance)
        assert scorer.metrics[-1].name == "lpips"
        assert "lpips" not in [metric.name for metric in scorer_for(kind).metrics]
        assert "lpips" not in scorer_for(kind).score(case, Filled(truth)).values
        assert scorer.score(case, Filled(truth)).values["lpips"] == 0
        cell = picture(111, 111, seed=2)
        found = scorer.score(case, Filled(truth, cell=cell)).values["lpips"]
        expected = float(distance(cell[None], resize(truth, (111, 111))[None])[0])
        assert found == pytest.approx(expected)
        assert expected > 0
    with pytest.raises(ValueError, match="lpips: compares pictures"):
        scorer_for("segmentation", lpips=distance)
