"""Scores of masks and boxes, and how sure a mean of scores is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from vicl.metrics.pictures import same_shape

Values = Sequence[float | int] | Float[np.ndarray, " _"]
Statistic = Callable[[Int[np.ndarray, "resamples n"]], Float[np.ndarray, " resamples"]]
"""From indices of things, one row a resample, to one number a row."""


def iou(
    pred: Bool[np.ndarray, "h w"],
    truth: Bool[np.ndarray, "th tw"],
    *,
    void: Bool[np.ndarray, "vh vw"] | None = None,
) -> float:
    """Compute intersection over union of two masks.

    Args:
        pred: The answer.
        truth: What it should be.
        void: Pixels to leave out, such as a boundary band that nobody labelled.

    Returns:
        In [0, 1].  Two empty masks agree: 1.

    Raises:
        ValueError: If shapes differ.
    """
    same_shape(pred, truth, "iou")
    if void is not None:
        same_shape(void, truth, "iou, void")
        pred, truth = pred & ~void, truth & ~void
    union = int(np.count_nonzero(pred | truth))
    return int(np.count_nonzero(pred & truth)) / union if union else 1.0


def pixel_accuracy(
    pred: Bool[np.ndarray, "h w"],
    truth: Bool[np.ndarray, "th tw"],
    *,
    void: Bool[np.ndarray, "vh vw"] | None = None,
) -> float:
    """Compute the share of pixels on which two masks agree.

    Args:
        pred: The answer.
        truth: What it should be.
        void: Pixels to leave out.

    Returns:
        In [0, 1]; 1 where nothing is left to judge.

    Raises:
        ValueError: If shapes differ.
    """
    same_shape(pred, truth, "pixel_accuracy")
    agree = pred == truth
    if void is not None:
        same_shape(void, truth, "pixel_accuracy, void")
        agree = agree[~void]
    return float(agree.mean()) if agree.size else 1.0


def box_iou(a: Values, b: Values) -> float:
    """Compute intersection over union of two boxes.

    Args:
        a: (x0, y0, x1, y1) in pixels, half-open: x1 and y1 are the first outside.
        b: The same.

    Returns:
        In [0, 1]; 1 for two boxes that are both empty.

    Raises:
        ValueError: If a box is not four numbers with x1 >= x0 and y1 >= y0.
    """
    for name, box in (("a", a), ("b", b)):
        if len(box) != 4 or not (box[2] >= box[0] and box[3] >= box[1]):
            raise ValueError(f"{name}: got {box}, expected (x0, y0, x1, y1), x1 >= x0, y1 >= y0")
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return float(shared / union) if union > 0 else 1.0


@dataclass(frozen=True)
class Interval:
    """A mean (or another statistic) with its bootstrap interval.

    Attributes:
        mean: The statistic of the sample itself.
        low: Lower end of the interval.
        high: Upper end.
        n: How many values it rests on.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_statistic(
    statistic: Statistic,
    n: int,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    biased: bool = False,
) -> Interval:
    """Compute the percentile bootstrap interval of any statistic of n things.

    What is resampled are the things (images, episodes), by index, with replacement; the
    statistic is computed afresh on each resample.  Two statistics over the same things are
    compared by passing their difference.

    Args:
        statistic: From indices, one row a resample, to one number a row.
        n: How many things there are.
        level: Share of resamples within the interval.
        resamples: How many.
        seed: Of the resampling; global state is neither read nor changed.
        biased: Resampling itself moves the statistic, as it enlarges sums of distances: the
            interval is moved back by as much, by which resamples lie off the statistic on average.

    Raises:
        ValueError: If n or resamples is under 1, level is outside (0, 1), or the statistic is
            NaN.

    Source: Efron, Tibshirani, "An introduction to the bootstrap", 1993, section 13.3; the estimate
    of a bias, section 10.2.
    """
    if n < 1 or resamples < 1 or not 0 < level < 1:
        raise ValueError(
            f"got n={n}, resamples={resamples}, level={level}; expected n and resamples of at "
            "least 1 and a level in (0, 1)"
        )
    rng = np.random.default_rng(seed)
    centre = float(statistic(np.arange(n)[None])[0])
    rows = max(1, 1_000_000 // n)  # a bounded amount of memory, whatever n
    drawn = np.concatenate(
        [
            statistic(rng.integers(0, n, (min(rows, resamples - start), n)))
            for start in range(0, resamples, rows)
        ]
    )
    if np.isnan(drawn).any() or np.isnan(centre):
        raise ValueError("the statistic is NaN on a resample; leave undefined values out first")
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    if biased:
        low, high = np.array([low, high]) - (drawn.mean() - centre)
    return Interval(centre, float(low), float(high), n)


def mean_of(values: Values) -> Statistic:
    """The mean as a statistic of values, for :func:`bootstrap_statistic`."""
    sample = np.asarray(values, dtype=np.float64)
    return lambda draws: sample[draws].mean(axis=1)


def mean_of_known(values: Sequence[float | None]) -> Statistic:
    """The mean of those values that there are, for :func:`bootstrap_statistic`.

    A resample that drew none of them has the mean of all.

    Args:
        values: One per thing; None where it has no such value.

    Raises:
        ValueError: If there is no value at all.
    """
    known = np.array([value is not None for value in values])
    sample = np.array([value or 0.0 for value in values], dtype=np.float64)
    if not known.any():
        raise ValueError("mean: got no values, expected at least one that is known")

    def statistic(draws: Int[np.ndarray, "resamples n"]) -> Float[np.ndarray, " resamples"]:
        if known.all():
            return np.asarray(sample[draws].mean(axis=1))
        drawn = known[draws].sum(axis=1)
        whole = np.full(len(draws), sample[known].mean())
        return np.asarray(np.divide(sample[draws].sum(axis=1), drawn, out=whole, where=drawn > 0))

    return statistic


def bootstrap_interval(
    values: Values, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Compute the percentile bootstrap interval of the mean.

    Args:
        values: One per episode, all finite.
        level: Share of resamples within the interval.
        resamples: How many.
        seed: Of the resampling.

    Raises:
        ValueError: If there is no value, or one is not finite.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not len(sample) or not np.isfinite(sample).all():
        raise ValueError(
            f"values: got {len(sample)}, of which "
            f"{int(np.count_nonzero(~np.isfinite(sample)))} not finite; expected at least one, "
            "all finite"
        )
    return bootstrap_statistic(
        mean_of(sample), len(sample), level=level, resamples=resamples, seed=seed
    )


def paired_interval(
    a: Values, b: Values, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Compute the percentile bootstrap interval of the mean of a - b over the same episodes.

    Args:
        a: One value per episode.
        b: The same episodes in the same order.
        level: Share of resamples within the interval.
        resamples: How many.
        seed: Of the resampling.

    Raises:
        ValueError: If lengths differ, there is no value, or one is not finite.
    """
    if len(a) != len(b):
        raise ValueError(f"a and b: got {len(a)} and {len(b)} values, expected the same episodes")
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    return bootstrap_interval(difference, level=level, resamples=resamples, seed=seed)
