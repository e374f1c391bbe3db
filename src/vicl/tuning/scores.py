"""How good a classifier's answers are: accuracy, calibration and confusions, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from jaxtyping import Float, Int

from vicl.metrics import Interval, bootstrap_interval, bootstrap_statistic

BINS: Final = 15
"""Of the expected calibration error. Source: Guo et al. 2017, arXiv:1706.04599, section 3."""

_RESAMPLES: Final = 2000
_TABLE: Final = 20
"""Classes up to which all confusions stand in the Markdown."""

_WORST: Final = 20


@dataclass(frozen=True, eq=False)
class Scored:
    """What answers score.

    Attributes:
        classes: Names of the classes.
        accuracy: Share of the images whose class was said.
        balanced: Mean of the classes' own accuracies; its interval is that of images drawn anew
            within each class.
        calibration: Expected calibration error, in 15 bins.
        each: Accuracy of each class; None where it has no image.
        confusion: How many images of a class (row) were taken for which (column).
        broken: How many images could not be read, and are in none of this.
    """

    classes: tuple[str, ...]
    accuracy: Interval
    balanced: Interval
    calibration: Interval
    each: tuple[Interval | None, ...]
    confusion: Int[np.ndarray, "c c"]
    broken: int = 0

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "images": self.accuracy.n,
            "broken": self.broken,
            "accuracy": _plain(self.accuracy),
            "mean_per_class_accuracy": _plain(self.balanced),
            "expected_calibration_error": _plain(self.calibration),
            "classes": {
                name: None if one is None else _plain(one)
                for name, one in zip(self.classes, self.each, strict=True)
            },
            "confusion": {
                "classes": list(self.classes),
                "rows_are": "truth",
                "counts": self.confusion.tolist(),
            },
        }

    def to_markdown(self) -> str:
        """Tables: of the whole, of the classes, of the confusions."""
        lines = [
            "| | value | 95% interval |",
            "|---|---|---|",
            _row("accuracy", self.accuracy),
            _row("mean per-class accuracy", self.balanced),
            _row(f"expected calibration error ({BINS} bins)", self.calibration),
            "",
            f"{self.accuracy.n} images"
            + (f"; {self.broken} could not be read and are left out." if self.broken else "."),
            "",
            "| class | images | accuracy | 95% interval |",
            "|---|---|---|---|",
        ]
        for name, one in zip(self.classes, self.each, strict=True):
            told = "0 | | " if one is None else f"{one.n} | {one.mean:.3f} | {_ends(one)}"
            lines.append(f"| {cell(name)} | {told} |")
        return "\n".join([*lines, "", *self._confusions(), ""])

    def _confusions(self) -> list[str]:
        if len(self.classes) <= _TABLE:
            heads = " | ".join(cell(name) for name in self.classes)
            return [
                "Confusions (rows: truth; columns: answer):",
                "",
                f"| | {heads} |",
                "|---" * (len(self.classes) + 1) + "|",
                *(
                    f"| {cell(name)} | {' | '.join(map(str, row))} |"
                    for name, row in zip(self.classes, self.confusion.tolist(), strict=True)
                ),
            ]
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-wrong, axis=None, kind="stable")[:_WORST]
        pairs = [divmod(int(place), len(self.classes)) for place in order]
        return [
            "The most frequent confusions:",
            "",
            "| truth | answer | images |",
            "|---|---|---|",
            *(
                f"| {cell(self.classes[t])} | {cell(self.classes[a])} | {wrong[t, a]} |"
                for t, a in pairs
                if wrong[t, a]
            ),
        ]


def score(
    scores: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    classes: Sequence[str],
    *,
    broken: int = 0,
    seed: int = 0,
) -> Scored:
    """Score answers.

    Args:
        scores: How likely each class is; rows sum to 1.
        labels: The true classes.
        classes: Names of all.
        broken: How many images could not be read.
        seed: Of the intervals' resampling.

    Raises:
        ValueError: If there is no image, or lengths differ.
    """
    if not len(labels) or len(scores) != len(labels) or scores.shape[1] != len(classes):
        raise ValueError(
            f"scores: got {scores.shape} for {len(labels)} labels of {len(classes)} classes; "
            "expected a row a label, of at least one, and a column a class"
        )
    answers = scores.argmax(1)
    right = (answers == labels).astype(np.float64)
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (labels, answers), 1)
    counts, hits = confusion.sum(1), np.diag(confusion)
    rng = np.random.default_rng(seed)
    there = counts > 0
    # Drawing images of a class anew, with replacement, draws its number of hits like this.
    drawn = rng.binomial(counts[there], hits[there] / counts[there], (_RESAMPLES, there.sum()))
    shares = drawn / counts[there]
    each: list[Interval | None] = [None] * len(classes)
    for place, index in enumerate(np.flatnonzero(there)):
        mean = float(hits[index] / counts[index])
        each[index] = _interval(mean, shares[:, place], int(counts[index]))
    balanced = _interval(
        float((hits[there] / counts[there]).mean()), shares.mean(1), int(counts.sum())
    )
    return Scored(
        tuple(classes),
        bootstrap_interval(right, seed=seed),
        balanced,
        calibration_error(scores.max(1), right, seed=seed),
        tuple(each),
        confusion,
        broken,
    )


def calibration_error(
    confidence: Float[np.ndarray, " n"], right: Float[np.ndarray, " n"], *, seed: int = 0
) -> Interval:
    """The expected calibration error: how far confidence and accuracy lie apart, by bins.

    Args:
        confidence: Score of what was answered, in [0, 1].
        right: 1 where that is true, else 0.
        seed: Of the interval's resampling.
    """
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = right - confidence

    def statistic(draws: Int[np.ndarray, "r n"]) -> Float[np.ndarray, " r"]:
        drawn_bins, drawn_gaps = bins[draws], gaps[draws]
        rows = np.arange(len(draws))[:, None] * BINS + drawn_bins
        sums = np.bincount(rows.ravel(), drawn_gaps.ravel(), len(draws) * BINS)
        error: Float[np.ndarray, " r"] = np.abs(sums.reshape(-1, BINS)).sum(1) / draws.shape[1]
        return error

    found = bootstrap_statistic(statistic, len(right), resamples=_RESAMPLES, seed=seed, biased=True)
    return replace(found, low=max(0.0, found.low))


def _interval(mean: float, drawn: Float[np.ndarray, " r"], count: int) -> Interval:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(mean, float(low), float(high), count)


def _plain(one: Interval) -> dict[str, float]:
    return {
        "mean": round(one.mean, 6),
        "low": round(one.low, 6),
        "high": round(one.high, 6),
        "n": one.n,
    }


def _ends(one: Interval) -> str:
    return f"{one.low:.3f} to {one.high:.3f}"


def _row(name: str, one: Interval) -> str:
    return f"| {name} | {one.mean:.3f} | {_ends(one)} |"


def cell(text: str) -> str:
    """Text as it may stand in a table of Markdown."""
    words = " ".join(text.split())[:80]
    return words.replace("|", "\\|").replace("`", "'").replace("<", "&lt;")
