"""From records of single answers to numbers with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from vicl.engine import InContextModel
from vicl.evaluation.episodes import Episode
from vicl.evaluation.running.results import EngineResult, Group, Record
from vicl.evaluation.scoring.scorers import Scorer, Scores
from vicl.metrics import Interval, Statistic, bootstrap_statistic

FLOOR = "copy"
"""What every engine is compared with."""


def summarise(
    engines: Mapping[str, InContextModel],
    scorer: Scorer,
    episodes: Sequence[Episode],
    records: Mapping[str, Sequence[Record]],
    equal_tokens: Mapping[str, float],
) -> tuple[EngineResult, ...]:
    """Say what each engine's answers come to.

    Args:
        engines: By their names.
        scorer: Knows how a set of episodes is scored.
        episodes: At least one.
        records: Each engine's, one an episode and in their order.
        equal_tokens: See :class:`vicl.evaluation.running.results.EngineResult`.
    """
    n = len(episodes)
    statistics = {name: statistics_of(scorer, several) for name, several in records.items()}
    return tuple(
        EngineResult(
            name=name,
            weights_hash=engine.weights_hash,
            values=intervals(statistics[name], n),
            minus_copy=None
            if FLOOR not in engines or name == FLOOR
            else intervals(statistics[name], n, statistics[FLOOR]),
            over_classes=_over_classes(scorer, episodes, records[name]),
            groups=tuple(_groups(scorer, episodes, records[name])),
            seconds=float(np.mean([record.seconds for record in records[name]])),
            records=tuple(records[name]),
            equal_tokens=equal_tokens.get(name),
        )
        for name, engine in engines.items()
    )


def statistics_of(scorer: Scorer, records: Sequence[Record]) -> dict[str, Statistic]:
    """The statistics of an engine's records, by metric."""
    return scorer.statistics([record.scores for record in records])


def intervals(
    own: Mapping[str, Statistic], count: int, minus: Mapping[str, Statistic] | None = None
) -> dict[str, Interval]:
    """Each statistic of so many episodes; with `minus`, less that, paired by episode."""
    found = own if minus is None else {name: difference(own[name], minus[name]) for name in own}
    return {name: bootstrap_statistic(one, count) for name, one in found.items()}


def difference(one: Statistic, other: Statistic) -> Statistic:
    """The difference of two statistics over the same episodes, for a paired bootstrap."""
    return lambda draws: one(draws) - other(draws)


def _groups(
    scorer: Scorer, episodes: Sequence[Episode], records: Sequence[Record]
) -> Iterator[Group]:
    """The headline by source, pair, class, and by what training saw, where these differ."""
    headline = scorer.metrics[0].name
    by_kind: dict[str, dict[str, list[Scores]]] = {}
    for episode, record in zip(episodes, records, strict=True):
        for kind, label in _labels(episode, record).items():
            by_kind.setdefault(kind, {}).setdefault(label, []).append(record.scores)
    for kind, by_label in by_kind.items():
        if len(by_label) < 2:
            continue
        for label, scores in sorted(by_label.items()):
            statistic = scorer.statistics(scores)[headline]
            yield Group(kind, label, bootstrap_statistic(statistic, len(scores)))


def _labels(episode: Episode, record: Record) -> dict[str, str]:
    """What an episode, as answered by an engine, may be told apart by."""
    labels = dict(episode.labels)
    if episode.class_name:
        labels["class"] = class_label(episode)
    if record.class_seen is not None:
        labels["seen"] = "class seen in training" if record.class_seen else "class not seen"
    return labels


def class_label(episode: Episode) -> str:
    """The class, told apart by the source that it is from: two sources may name things alike."""
    source = episode.query.source
    return f"{episode.class_name} ({source})" if source else episode.class_name


def _over_classes(
    scorer: Scorer, episodes: Sequence[Episode], records: Sequence[Record]
) -> Interval | None:
    """The mean over classes of the headline's mean over a class."""
    labels = [class_label(episode) for episode in episodes]
    if not all(episode.class_name for episode in episodes) or len(set(labels)) < 2:
        return None
    if any(record.scores.counts is not None for record in records):
        return None  # an F over a set is no mean over its episodes
    headline = scorer.metrics[0].name
    values = np.array([record.scores.values[headline] for record in records])
    members = np.array(labels)[:, None] == np.array(sorted(set(labels)))
    return bootstrap_statistic(mean_over_classes(values, members.astype(np.float64)), len(values))


def mean_over_classes(
    values: Float[np.ndarray, " n"], members: Float[np.ndarray, "n classes"]
) -> Statistic:
    """The mean over classes of each class's mean; of a resample, over the classes it drew.

    Args:
        values: One an episode.
        members: 1 where an episode is of a class, else 0.
    """

    def statistic(draws: Int[np.ndarray, "resamples n"]) -> Float[np.ndarray, " resamples"]:
        times = np.zeros((len(draws), len(values)))
        np.add.at(times, (np.arange(len(draws))[:, None], draws), 1.0)
        drawn = times @ members
        totals = times @ (values[:, None] * members)
        means = np.divide(totals, drawn, out=np.zeros_like(totals), where=drawn > 0)
        return np.asarray(means.sum(axis=1) / (drawn > 0).sum(axis=1))

    return statistic
