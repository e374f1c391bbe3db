from __future__ import annotations

import math

import numpy as np
import pytest

from vicl.metrics import (
    Interval,
    bootstrap_interval,
    bootstrap_statistic,
    box_iou,
    iou,
    mean_of,
    paired_interval,
    pixel_accuracy,
)


def _mask(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


def test_iou_by_hand() -> None:
    pred, truth = _mask("##..", "##.."), _mask(".##.", ".##.")
    assert iou(pred, truth) == pytest.approx(2 / 6)
    assert iou(pred, pred) == 1
    assert iou(pred, ~pred) == 0


def test_a_right_answer_to_an_empty_truth_scores_one() -> None:
    empty = np.zeros((3, 4), dtype=bool)
    assert iou(empty, empty) == 1
    assert iou(~empty, empty) == 0
    assert iou(~empty, ~empty, void=~empty) == 1  # nothing left to judge


def test_void_pixels_are_left_out() -> None:
    pred, truth, void = _mask("####"), _mask("##.."), _mask("...#")
    assert iou(pred, truth) == pytest.approx(2 / 4)
    assert iou(pred, truth, void=void) == pytest.approx(2 / 3)


def test_iou_refuses_other_shapes() -> None:
    mask = np.zeros((3, 4), dtype=bool)
    with pytest.raises(ValueError, match=r"got shapes \(3, 4\) and \(4, 3\)"):
        iou(mask, mask.T)
    with pytest.raises(ValueError, match="void"):
        iou(mask, mask, void=mask.T)


def test_pixel_accuracy_by_hand() -> None:
    pred, truth, void = _mask("####", "...."), _mask("##..", "...#"), _mask("...#", "....")
    assert pixel_accuracy(pred, truth) == 5 / 8
    assert pixel_accuracy(pred, truth, void=void) == 5 / 7
    assert pixel_accuracy(pred, ~pred) == 0
    assert pixel_accuracy(pred, ~pred, void=np.ones_like(pred)) == 1  # nothing left to judge
    with pytest.raises(ValueError, match="pixel_accuracy, void"):
        pixel_accuracy(pred, truth, void=void.T)


def test_box_iou_by_hand() -> None:
    assert box_iou((0, 0, 4, 2), (2, 0, 6, 2)) == pytest.approx(4 / 12)
    assert box_iou((0, 0, 4, 2), (4, 0, 6, 2)) == 0  # half-open: they touch
    assert box_iou((1, 1, 1, 1), (1, 1, 1, 1)) == 1
    with pytest.raises(ValueError, match="b: got"):
        box_iou((0, 0, 4, 2), (4, 0, 2, 2))


def test_box_iou_agrees_with_masks() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        boxes, masks = [], []
        for _ in range(2):
            x0, y0 = rng.integers(0, 8, 2)
            x1, y1 = x0 + rng.integers(1, 5), y0 + rng.integers(1, 5)
            mask = np.zeros((12, 12), dtype=bool)
            mask[y0:y1, x0:x1] = True
            boxes.append([float(v) for v in (x0, y0, x1, y1)])
            masks.append(mask)
        assert box_iou(*boxes) == pytest.approx(iou(*masks))


def test_bootstrap_interval_is_near_the_normal_one() -> None:
    values = np.random.default_rng(5).normal(2, 1, 400)
    found = bootstrap_interval(values)
    error = values.std() / math.sqrt(400)
    assert found.mean == pytest.approx(values.mean())
    assert found.n == 400
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    wide = bootstrap_interval(values, level=0.99)
    assert wide.low < found.low < found.high < wide.high


def test_bootstrap_interval_of_two_values_by_hand() -> None:
    # Resamples of {0, 1} have means 0, 1/2, 1 with chances 1/4, 1/2, 1/4.
    assert bootstrap_interval([0.0, 1.0]) == Interval(0.5, 0.0, 1.0, 2)
    inner = bootstrap_interval([0.0, 1.0], level=0.4)
    assert (inner.low, inner.high) == (0.5, 0.5)
    assert bootstrap_interval([0.7]) == Interval(0.7, 0.7, 0.7, 1)
    assert str(bootstrap_interval([0.7])) == "0.700 [0.700, 0.700]"


def test_bootstrap_follows_its_seed_alone() -> None:
    values = np.random.default_rng(1).normal(size=30)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)


def test_resampling_in_blocks_is_resampling_at_once() -> None:
    n = 300_000  # three rows a block
    values = np.random.default_rng(1).random(n)
    found = bootstrap_interval(values, resamples=7)
    draws = np.random.default_rng(0).integers(0, n, (7, n))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    assert (found.low, found.high) == (low, high)


def test_paired_interval_uses_the_pairs() -> None:
    rng = np.random.default_rng(2)
    b = rng.random(100)
    a = b + 0.05 + rng.normal(0, 0.01, 100)
    paired = paired_interval(a, b)
    assert paired.mean == pytest.approx(np.mean(a - b))
    assert paired.low > 0.04  # unpaired, the spread of b would hide the difference
    assert bootstrap_interval(a).low < bootstrap_interval(b).high
    with pytest.raises(ValueError, match="the same episodes"):
        paired_interval(a, b[1:])


def test_mean_of_is_the_mean_of_each_resample() -> None:
    statistic = mean_of([1.0, 2.0, 6.0])
    assert statistic(np.array([[0, 1, 2], [2, 2, 0]])).tolist() == [3.0, 13 / 3]


def test_bootstrap_statistic_takes_any_statistic() -> None:
    values = np.random.default_rng(3).random(41)
    found = bootstrap_statistic(lambda draws: np.median(values[draws], axis=1), 41)
    assert found.mean == np.median(values)
    assert found.low < found.mean < found.high


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_values_that_have_no_mean_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval(values)


def test_bootstrap_refuses_impossible_settings() -> None:
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval([1.0], level=1.0)
    with pytest.raises(ValueError, match="resamples"):
        bootstrap_interval([1.0], resamples=0)
    with pytest.raises(ValueError, match="NaN"):
        bootstrap_statistic(lambda draws: np.full(len(draws), np.nan), 3)
