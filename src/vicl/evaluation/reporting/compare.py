"""Runs side by side, over the episodes that they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vicl.evaluation.episodes import MEASURES_NAMES, Episode
from vicl.evaluation.running.results import EvaluationError, Record, heading, markdown_table, show
from vicl.evaluation.running.run_folder import read_run
from vicl.evaluation.running.summary import intervals, statistics_of
from vicl.evaluation.scoring.measures import LPIPS, Metric
from vicl.evaluation.scoring.scorers import scorer_for
from vicl.files import display, reason
from vicl.metrics import Interval, Statistic, mean_of


@dataclass(frozen=True, eq=False)
class ComparedEngine:
    """One engine of one run.

    Attributes:
        run: The run's folder, as given.
        engine: The engine's name.
        values: Each metric over the common episodes.
        differences: The same minus the reference's, paired by episode; None for the reference.
    """

    run: str
    engine: str
    values: dict[str, Interval]
    differences: dict[str, Interval] | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs side by side.

    Attributes:
        dataset: Name of the dataset.
        metrics: That all runs measured, the headline first.
        episodes: How many are common to all runs.
        reference: Which of `engines` the others are compared with.
        engines: In the order of the runs.
    """

    dataset: str
    metrics: tuple[Metric, ...]
    episodes: int
    reference: int
    engines: tuple[ComparedEngine, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "dataset": self.dataset,
            "metrics": [asdict(metric) for metric in self.metrics],
            "episodes": self.episodes,
            "reference": self.reference,
            "engines": [asdict(engine) for engine in self.engines],
        }

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """As a table: headers, and a row an engine; differences are the headline's."""
        headline = self.metrics[0]
        reference = self.engines[self.reference]
        against = f"{headline.title} minus {reference.engine} in {reference.run}"
        headers = ["run", "engine", heading(headline), against, *map(heading, self.metrics[1:])]
        rows = [
            [
                one.run,
                one.engine,
                show(one.values[headline.name], headline),
                "–"
                if one.differences is None
                else show(one.differences[headline.name], headline, signed=True),
                *(show(one.values[metric.name], metric) for metric in self.metrics[1:]),
            ]
            for one in self.engines
        ]
        return headers, rows

    def to_markdown(self) -> str:
        """As a Markdown table."""
        table = markdown_table(*self.rows())
        return f"{self.dataset}, {self.episodes} common episodes\n\n{table}"


@dataclass(frozen=True, eq=False)
class _Run:
    """A run as it is on the disk."""

    name: str
    setting: dict[str, Any]
    records: dict[str, dict[Episode, Record]]

    @property
    def complete(self) -> set[Episode]:
        """Episodes that every engine answered."""
        answered = [set(by_episode) for by_episode in self.records.values()]
        return set.intersection(*answered) if answered else set()


def compare(runs: Sequence[Path]) -> Comparison:
    """Put runs of one dataset side by side.

    The reference is the last engine of the first run.  Where runs have the same engine with the
    same scores, as the floors, it is shown once.

    Args:
        runs: Their folders, finished or not; at least one.

    Raises:
        EvaluationError: If a folder holds no run, the runs are of different datasets, or they have
            no episode in common.
    """
    opened = [_open(folder) for folder in runs]
    if not opened:
        raise EvaluationError("runs: got none, expected at least one folder")
    first = opened[0]
    for other in opened[1:]:
        _check_same_dataset(first, other)
    common = set.intersection(*(run.complete for run in opened))
    if not common:
        raise EvaluationError(
            "runs: they have no episode in common; evaluate with the same --seed and --examples, "
            f"or replay the first run's: --replay {first.name}/listing.jsonl"
        )
    # Sorted, so that the interval does not depend on how runs were stopped and gone on with.
    episodes = sorted(common, key=lambda e: (e.seed, e.index, repr(e)))
    metrics, reference = _metrics(opened, episodes), len(first.records) - 1
    shown: list[tuple[Any, ...]] = []
    found: list[tuple[_Run, str, dict[str, Statistic]]] = []
    for run in opened:
        for name, by_episode in run.records.items():
            records = [by_episode[episode] for episode in episodes]
            if (key := _key(run, name, records)) not in shown:
                shown.append(key)
                found.append((run, name, _statistics(run, records, metrics)))
    ground, n = found[reference][2], len(episodes)
    return Comparison(
        dataset=str(first.setting["dataset"]["name"]),
        metrics=metrics,
        episodes=len(episodes),
        reference=reference,
        engines=tuple(
            ComparedEngine(
                run=run.name,
                engine=name,
                values=intervals(own, n),
                differences=None if index == reference else intervals(own, n, ground),
            )
            for index, (run, name, own) in enumerate(found)
        ),
    )


def _key(run: _Run, engine: str, records: Sequence[Record]) -> tuple[Any, ...]:
    """What is the same for the same engine with the same scores."""
    return engine, run.setting["engines"].get(engine), [record.scores.values for record in records]


def _statistics(
    run: _Run, records: Sequence[Record], metrics: Sequence[Metric]
) -> dict[str, Statistic]:
    """Of the metrics, over the common episodes."""
    found = statistics_of(scorer_for(run.setting["dataset"]["measures"]), records)
    # LPIPS is a mean, and needs its weights for scoring only.
    return {
        name: found.get(name) or mean_of([record.scores.values[name] for record in records])
        for name in (metric.name for metric in metrics)
    }


def _open(folder: Path) -> _Run:
    setting, episodes, records = read_run(folder)
    name = display(folder)
    try:
        engines: dict[str, dict[Episode, Record]] = {name: {} for name in setting["engines"]}
        for record in records:
            engines[record.engine][replace(episodes[record.position], dataset="")] = record
        data = setting["dataset"]
        data["measures"] = data.pop("kind", None) or data["measures"]  # as older runs call it
        if data["measures"] not in MEASURES_NAMES or not isinstance(setting["metrics"], list):
            raise ValueError("unknown measures or metrics")
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError(
            f"{name}: its files are damaged ({reason(error)}); run it again"
        ) from error
    return _Run(name, setting, engines)


def _check_same_dataset(one: _Run, other: _Run) -> None:
    # Not the name, which is that of a folder: a copy elsewhere is the same dataset.
    for key in ("measures", "fingerprint"):
        a, b = one.setting["dataset"].get(key), other.setting["dataset"].get(key)
        if a != b:
            raise EvaluationError(
                f"runs: {one.name} and {other.name} are of different datasets ({key}: {a!r} and "
                f"{b!r}); compare runs of one dataset"
            )


def _metrics(runs: Sequence[_Run], episodes: Sequence[Episode]) -> tuple[Metric, ...]:
    """What all runs measured of these episodes; LPIPS where it was by the same weights."""
    known = scorer_for(runs[0].setting["dataset"]["measures"]).metrics
    weights = {str(run.setting.get("options", {}).get("lpips")) for run in runs}
    if len(weights) == 1:
        known = (*known, LPIPS)
    return tuple(
        metric
        for metric in known
        if all(
            any(metric.name in records[episode].scores.values for episode in episodes)
            for run in runs
            for records in run.records.values()
        )
    )
