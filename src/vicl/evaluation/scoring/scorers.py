"""Scoring answers: one by one, and as a set of which any resample has a value.

A dataset says what it is measured by: as its task is (:mod:`vicl.evaluation.scoring.measures`), or
by measures of its own (:mod:`vicl.evaluation.scoring.shapes` and `rules`); the headline comes
first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from vicl.engine import Filled
from vicl.evaluation.episodes import Case, Measures
from vicl.evaluation.scoring import rules, shapes
from vicl.evaluation.scoring.measures import CELL, LPIPS, TASK_MEASURES, Measure, answer_cell
from vicl.evaluation.scoring.measures import Metric as Metric
from vicl.images import resize
from vicl.metrics import Statistic as Statistic
from vicl.metrics import mean_of_known
from vicl.metrics.edges import EdgeCounts, edge_counts, image_f, resampled_f
from vicl.metrics.perceptual import PerceptualDistance

MEASURES: dict[Measures, tuple[tuple[Metric, ...], Measure]] = {
    **TASK_MEASURES,
    "shapes": (shapes.METRICS, shapes.shape_scores),
    "rules": (rules.METRICS, rules.rule_scores),
}
"""What is measured, and how; that of edges is in :class:`EdgeScorer`, since its F is no mean."""

_COUNTS = ("thresholds", "matched_pred", "total_pred", "matched_truth", "total_truth")


@dataclass(frozen=True, eq=False)
class Scores:
    """One answer's scores.

    Attributes:
        values: The metrics of its scorer, for this episode alone; of the synthetic rules, those
            that fit its rule.
        counts: Edges: what it contributes to a set's F, which is no mean of episodes.
    """

    values: dict[str, float]
    counts: EdgeCounts | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain numbers and lists, for :func:`json.dumps`."""
        if self.counts is None:
            return {"values": self.values}
        counts = {name: getattr(self.counts, name).tolist() for name in _COUNTS}
        return {"values": self.values, "counts": counts}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scores:
        """What :meth:`to_json` gave.

        Raises:
            ValueError: If it is something else.
        """
        try:
            values = {str(name): float(value) for name, value in data["values"].items()}
            raw = data.get("counts")
            if raw is None:
                return cls(values)
            levels = np.array(raw["thresholds"], dtype=np.float64)
            whole = [np.array(raw[name], dtype=np.int64) for name in _COUNTS[1:]]
            if any(column.shape != levels.shape or levels.ndim != 1 for column in whole):
                raise ValueError("counts of different lengths")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"scores: got {str(data)[:200]}, not what was written") from error
        return cls(values, EdgeCounts(levels, *whole))


@dataclass(frozen=True, eq=False)
class MeanScorer:
    """Episodes are measured one by one, and a set's value is the mean of those that have one.

    Attributes:
        metrics: What it measures, the headline first.
        measure: What they are, but for LPIPS.
        lpips: Measures that, at the cell, as the last metric; None leaves it out.
    """

    metrics: tuple[Metric, ...]
    measure: Measure
    lpips: PerceptualDistance | None = None

    def score(self, case: Case, answer: Filled) -> Scores:
        """Score one answer, at its query's size.

        Raises:
            ValueError: If the answer's size is not the truth's.
        """
        values = self.measure(case, answer)
        if self.lpips is not None:
            truth = resize(case.truth.image, (CELL, CELL))
            with torch.inference_mode():
                values["lpips"] = float(self.lpips(answer_cell(answer)[None], truth[None])[0])
        return Scores(values)

    def statistics(self, scores: Sequence[Scores]) -> dict[str, Statistic]:
        """Each metric of a set of episodes, for :func:`vicl.metrics.bootstrap_statistic`.

        What none of the episodes has is left out.
        """
        return {
            m.name: mean_of_known([one.values.get(m.name) for one in scores])
            for m in self.metrics
            if any(m.name in one.values for one in scores)
        }


@dataclass(frozen=True)
class EdgeScorer:
    """The Berkeley benchmark's F: counts are summed over a set's episodes before they are divided.

    For one episode alone its two scales are one: the F at that image's best threshold.
    """

    metrics: tuple[Metric, ...] = (
        Metric("edge_ods", "edge F (ODS)"),
        Metric("edge_ois", "edge F (OIS)"),
    )

    def score(self, case: Case, answer: Filled) -> Scores:
        """See :meth:`MeanScorer.score`."""
        annotators = case.truth.annotators
        if annotators is None:
            raise ValueError("truth: got no annotators' maps, expected at least one")
        counts = edge_counts(answer.image.mean(dim=0).numpy(), annotators)
        return Scores(dict.fromkeys(("edge_ods", "edge_ois"), image_f(counts)), counts)

    def statistics(self, scores: Sequence[Scores]) -> dict[str, Statistic]:
        """See :meth:`MeanScorer.statistics`."""
        counts = [one.counts for one in scores if one.counts is not None]
        if len(counts) != len(scores):
            raise ValueError(f"scores: {len(scores) - len(counts)} of {len(scores)} lack counts")
        scales: tuple[Literal["ods", "ois"], ...] = ("ods", "ois")
        return {f"edge_{scale}": partial(resampled_f, counts, scale=scale) for scale in scales}


Scorer = MeanScorer | EdgeScorer
"""Scores the answers to the episodes of one dataset, one by one and as a set."""


def scorer_for(measures: Measures, *, lpips: PerceptualDistance | None = None) -> Scorer:
    """Give what a dataset's episodes are measured by.

    Args:
        measures: As the dataset says.
        lpips: Weights with which to compute LPIPS too, for pictures (see
            :func:`vicl.metrics.perceptual.load_lpips`); without them there is no number.

    Raises:
        ValueError: If LPIPS is asked for where the answer is no picture.
    """
    if lpips is not None and measures not in ("colorization", "image"):
        raise ValueError(
            f"lpips: compares pictures, for colorization and image; {measures} is not scored by it"
        )
    if measures == "edges":
        return EdgeScorer()
    metrics, measure = MEASURES[measures]
    return MeanScorer(metrics if lpips is None else (*metrics, LPIPS), measure, lpips)
