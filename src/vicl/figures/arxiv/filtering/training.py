"""A filter from labels: fitted, and judged on papers that it did not see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

from vicl.figures.arxiv.filtering.describing import Describing, describe_files
from vicl.figures.arxiv.filtering.figure_filter import (
    STRENGTHS,
    FigureFilter,
    FilterConfig,
    fit_filter,
)
from vicl.figures.arxiv.filtering.labels import Label
from vicl.files import display
from vicl.metrics import Interval, bootstrap_statistic

FOLDS: Final = 5
"""Parts of the papers of which each is held out once."""

THRESHOLD: Final = 0.5
"""Where precision and recall are told, if nobody says otherwise."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """What a filter learns from.

    Attributes:
        described: See :func:`vicl.figures.arxiv.filtering.figure_filter.describe`; a row a figure.
        wanted: Whether each figure is.
        papers: Of which paper each is; "" is a paper of its own.
        failed: Figures that could not be read and are not among them, with the reasons.
    """

    described: Float[np.ndarray, "b n"]
    wanted: Bool[np.ndarray, " b"]
    papers: tuple[str, ...]
    failed: Mapping[Path, str]


def describe_labels(
    labels: Sequence[Label],
    describing: Describing,
    *,
    workers: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> Labelled:
    """Look at the figures that have labels.

    A script that calls it needs the usual `if __name__ == "__main__":`.

    Args:
        labels: Which figures, each once.
        describing: How they are looked at.
        workers: Processes.
        advance: Told as each has been looked at.

    Raises:
        ValueError: If `workers` is not positive, or no figure can be read.
    """
    found, failed = {}, {}
    for path, said in describe_files(describing, [one.image for one in labels], workers=workers):
        if isinstance(said, str):
            failed[path] = said
        else:
            found[path] = said
        advance()
    read = [one for one in labels if one.image in found]
    if not read:
        raise ValueError(
            f"labels: none of {len(labels)} figures can be read; {[*failed.values()][:1]}"
        )
    return Labelled(
        np.stack([found[one.image] for one in read]),
        np.array([one.wanted for one in read]),
        tuple(one.paper for one in read),
        failed,
    )


@dataclass(frozen=True)
class Judged:
    """How well scores tell wanted figures from others at a threshold.

    Attributes:
        threshold: Figures with at least this score are kept.
        precision: Share of the kept that are wanted.
        recall: Share of the wanted that are kept.
        kept: How many are kept.
        count: Of how many.
    """

    threshold: float
    precision: Interval
    recall: Interval
    kept: int
    count: int

    def row(self) -> str:
        """As a row of a Markdown table: threshold, precision, recall, kept."""
        parts = (f"{self.threshold:.2f}", self.precision, self.recall, f"{self.kept}/{self.count}")
        return f"| {' | '.join(map(str, parts))} |"


def judge(
    scores: Float[np.ndarray, " b"],
    wanted: Bool[np.ndarray, " b"],
    papers: Sequence[str],
    threshold: float = THRESHOLD,
    *,
    seed: int = 0,
) -> Judged:
    """Precision and recall, with intervals by a bootstrap of papers.

    Args:
        scores: Of figures.
        wanted: Whether each is.
        papers: Of which paper each is; "" is a paper of its own.
        threshold: Figures with at least this score are kept.
        seed: Of the resampling.

    Raises:
        ValueError: If none is wanted.
    """
    if not wanted.any():
        raise ValueError("precision and recall: got no figure that is wanted, expected some")
    kept = scores >= threshold
    groups = groups_of(papers)
    number = int(groups.max()) + 1
    hits, passed, all_wanted = (
        np.bincount(groups, which, number) for which in (kept & wanted, kept, wanted)
    )

    def share(above: np.ndarray, below: np.ndarray) -> Interval:
        whole = above.sum() / below.sum() if below.sum() else 0.0

        def statistic(draws: Int[np.ndarray, "resamples n"]) -> Float[np.ndarray, " resamples"]:
            drawn = below[draws].sum(axis=1)
            # A resample without any is as the whole.
            out = np.full(len(draws), whole)
            return np.asarray(np.divide(above[draws].sum(axis=1), drawn, out=out, where=drawn > 0))

        return bootstrap_statistic(statistic, number, seed=seed)

    return Judged(
        threshold, share(hits, passed), share(hits, all_wanted), int(kept.sum()), len(kept)
    )


def groups_of(papers: Sequence[str]) -> Int[np.ndarray, " b"]:
    """A number for each paper; one that is not known is a paper of its own."""
    numbers: dict[str | int, int] = {}
    return np.array([numbers.setdefault(p or at, len(numbers)) for at, p in enumerate(papers)])


@dataclass(frozen=True, eq=False)
class Trained:
    """A filter, and how good it is.

    Attributes:
        filter: Fitted on all labels.
        strength: See :func:`vicl.figures.arxiv.filtering.figure_filter.fit_filter`; chosen.
        held_out: Score of each figure by a filter that saw no figure of its paper.
    """

    filter: FigureFilter
    strength: float
    held_out: Float[np.ndarray, " b"]


def fit_and_judge(labelled: Labelled, config: FilterConfig, *, seed: int = 0) -> Trained:
    """Fit a filter, and score each figure by one that did not see its paper.

    The penalty's strength is chosen within the papers that a filter is fitted on, by the same
    cross-validation: the scores of those that are held out have no part in it.

    Args:
        labelled: Figures.
        config: Of the filter.
        seed: Of the parts.

    Raises:
        ValueError: If fewer than `FOLDS` papers have figures of either label.
    """
    described, wanted = labelled.described, labelled.wanted
    groups = groups_of(labelled.papers)
    for label in (True, False):
        found = len(np.unique(groups[wanted == label]))
        if found < FOLDS:
            raise ValueError(
                f"labels: {'yes' if label else 'no'} comes from {found} papers, expected at least "
                f"{FOLDS}; label more figures"
            )
    held_out = np.zeros(len(wanted))
    for inside, outside in _folds(wanted, groups, seed):
        part = described[inside], wanted[inside]
        strength = _choose(*part, groups[inside], config, seed)
        held_out[outside] = fit_filter(*part, config, strength=strength).score(described[outside])
    strength = _choose(described, wanted, groups, config, seed)
    made = fit_filter(described, wanted, config, strength=strength)
    return Trained(made, strength, held_out)


def filter_card(trained: Trained, labelled: Labelled, name: str, *, seed: int = 0) -> str:
    """A model card: what the filter learned from, and how good it is.

    Args:
        trained: By :func:`fit_and_judge`.
        labelled: From what.
        name: Of its folder.
        seed: Of the parts of the papers.
    """
    wanted, config = labelled.wanted, trained.filter.config
    papers = len(np.unique(groups_of(labelled.papers)))
    unknown = sum(not paper for paper in labelled.papers)
    rows = [
        judge(trained.held_out, wanted, labelled.papers, threshold).row()
        for threshold in (0.1, 0.3, 0.5, 0.7, 0.9)
    ]
    alone = (
        f" {unknown} figures, of unknown papers, count as papers of their own." if unknown else ""
    )
    return (
        f"---\nlibrary_name: vicl\n---\n# {display(name)}\n\n"
        "A filter of figures: the chance of each to be a grid with at least one natural image. "
        f"Logistic regression over the frozen features of {config.encoder} (longest side "
        f"{config.side} px) and {len(config.cues)} layout cues; inverse strength of the penalty "
        f"{trained.strength:g}.\n\n"
        f"Fitted on {len(wanted)} labelled figures of {papers} papers: {int(wanted.sum())} yes, "
        f"{int((~wanted).sum())} no.{alone}\n\n## How good\n\n"
        f"Of figures whose papers it did not see: {FOLDS}-fold cross-validation by paper, seed "
        f"{seed}; 95% intervals by a bootstrap of papers.\n\n"
        "| threshold | precision [95%] | recall [95%] | kept |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\nEverything kept: precision {wanted.mean():.3f}, recall 1.\n"
    )


def _choose(
    described: Float[np.ndarray, "b n"],
    wanted: Bool[np.ndarray, " b"],
    groups: Int[np.ndarray, " b"],
    config: FilterConfig,
    seed: int,
) -> float:
    """The strength whose filters give what they did not see the greatest likelihood."""
    lost = dict.fromkeys(STRENGTHS, 0.0)
    for inside, outside in _folds(wanted, groups, seed):
        for strength in STRENGTHS:
            made = fit_filter(described[inside], wanted[inside], config, strength=strength)
            right = np.where(wanted[outside], 1, -1) * made.log_odds(described[outside])
            lost[strength] += float(np.logaddexp(0, -right).sum())
    return min(lost, key=lambda strength: lost[strength])


def _folds(
    wanted: Bool[np.ndarray, " b"], groups: Int[np.ndarray, " b"], seed: int
) -> list[tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]]:
    from sklearn.model_selection import StratifiedGroupKFold

    parts = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed % (1 << 32))
    return list(parts.split(groups, wanted, groups))
