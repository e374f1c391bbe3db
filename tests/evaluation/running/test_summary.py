"""From records to numbers with intervals."""

from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.discs import Discs

from vicl.evaluation.episodes import Episode
from vicl.evaluation.running.results import Record, heading, show
from vicl.evaluation.running.summary import mean_over_classes, summarise
from vicl.evaluation.scoring.scorers import Metric, Scores, scorer_for
from vicl.metrics import Interval
from vicl.models.floors import Copy


def test_mean_over_classes_of_resamples() -> None:
    """Class A has 0.2 and 0.4, class B has 1.0."""
    members = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    statistic = mean_over_classes(np.array([0.2, 0.4, 1.0]), members)
    draws = np.array([[0, 1, 2], [0, 0, 2], [1, 1, 1], [2, 2, 2]])
    # As they are; A once over; A alone; B alone.
    assert statistic(draws) == pytest.approx([(0.3 + 1) / 2, (0.2 + 1) / 2, 0.4, 1.0])


def _summarised(values: list[float], episodes: list[Episode]) -> Interval | None:
    records = [
        Record(i, "copy", Scores(dict.fromkeys(("iou_cell", "iou", "pixel_accuracy"), v)), 0.5)
        for i, v in enumerate(values)
    ]
    (found,) = summarise(
        {"copy": Copy()},
        scorer_for("segmentation"),
        episodes,
        {"copy": records},
        {},
    )
    assert found.values["iou"].mean == pytest.approx(np.mean(values))
    assert found.seconds == 0.5
    return found.over_classes


def test_classes_weigh_alike() -> None:
    """Of 4 episodes 2 are of the first class (in one source): (0.1 + 0.3) / 2, 0.5, 0.9."""
    drawn = Discs().episodes(9)
    episodes = [drawn[0], drawn[6], drawn[1], drawn[2]]
    mean = _summarised([0.1, 0.3, 0.5, 0.9], episodes)
    assert mean is not None
    assert mean.mean == pytest.approx((0.2 + 0.5 + 0.9) / 3)
    assert mean.low < mean.mean < mean.high


def test_one_class_has_no_mean_over_classes() -> None:
    drawn = Discs().episodes(9)
    assert _summarised([0.1, 0.3], [drawn[0], drawn[6]]) is None


def test_numbers_are_shown_in_their_digits() -> None:
    metric = Metric("mse", "MSE", unit="u", higher_is_better=False, digits=1)
    interval = Interval(0.25, -1.0, 2.04, 3)
    assert show(interval, metric) == "0.2 [-1.0, 2.0]"
    assert show(interval, metric, signed=True) == "+0.2 [-1.0, +2.0]"
    assert show(Interval(-0.04, -0.06, 0.0, 3), metric) == "0.0 [-0.1, 0.0]"
    assert heading(metric) == "MSE, u ↓"
