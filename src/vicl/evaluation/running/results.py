"""What an evaluation found: records of single answers, and what they come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vicl.evaluation.episodes import Episode, Measures
from vicl.evaluation.scoring.scorers import Metric, Scores
from vicl.metrics import Interval

FORMAT = 1
"""Of results.json."""


class EvaluationError(ValueError):
    """An evaluation that cannot be run, gone on with or compared; the message says what to do."""


@dataclass(frozen=True, eq=False)
class Record:
    """One engine's answer to one episode, scored.

    Attributes:
        position: Which of the run's episodes, from 0.
        engine: Its name.
        scores: What the answer is worth.
        seconds: What answering took, a batch's time shared out evenly.
        class_seen: Whether the engine's training saw the episode's class; None if nobody said.
    """

    position: int
    engine: str
    scores: Scores
    seconds: float
    class_seen: bool | None = None


@dataclass(frozen=True)
class Failure:
    """An episode that could not be loaded, answered or scored.

    Attributes:
        position: Which of the run's episodes, from 0.
        query: Its query's image.
        message: What went wrong.
    """

    position: int
    query: str
    message: str

    def __str__(self) -> str:
        # Messages about a file name it.
        where = f"episode {self.position}"
        return f"{where}: {'' if self.query in self.message else self.query + ': '}{self.message}"


@dataclass(frozen=True)
class Group:
    """The headline over some of the episodes.

    Attributes:
        kind: What they are told apart by: "source", "pair", "class", or "seen" in training.
        label: What these have in common.
        interval: The headline metric over them.
    """

    kind: str
    label: str
    interval: Interval


@dataclass(frozen=True, eq=False)
class EngineResult:
    """What one engine's answers come to.

    Attributes:
        name: Its name.
        weights_hash: SHA-256 of its weights; None if it has none.
        values: Each metric over all scored episodes.
        minus_copy: The same, minus Copy's over the same episodes; None for Copy itself.
        over_classes: Mean over classes of the headline's mean over a class; None where episodes
            have no classes, or the headline is no mean over episodes.
        groups: The headline over parts of the episodes.
        seconds: Of answering, per episode.
        records: One a scored episode, in the episodes' order.
        equal_tokens: Share of the tokens in the holes that come out the same in a batch as alone,
            in [0, 1]; None where that was not asked (on a CPU all do).
    """

    name: str
    weights_hash: str | None
    values: dict[str, Interval]
    minus_copy: dict[str, Interval] | None
    over_classes: Interval | None
    groups: tuple[Group, ...]
    seconds: float
    records: tuple[Record, ...]
    equal_tokens: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain values, without the records."""
        groups: dict[str, dict[str, Any]] = {}
        for group in self.groups:
            groups.setdefault(group.kind, {})[group.label] = asdict(group.interval)
        over_classes = self.over_classes
        return {
            "name": self.name,
            "weights_sha256": self.weights_hash,
            "values": _intervals(self.values),
            "minus_copy": None if self.minus_copy is None else _intervals(self.minus_copy),
            "over_classes": None if over_classes is None else asdict(over_classes),
            "groups": groups,
            "seconds_per_episode": self.seconds,
            "episodes_per_second": 1 / self.seconds if self.seconds > 0 else None,
            "equal_tokens": self.equal_tokens,
        }


@dataclass(frozen=True, eq=False)
class Results:
    """What an evaluation found.

    Attributes:
        dataset: Its name.
        measures: What its answers are measured by.
        fingerprint: Of the dataset.
        metrics: What was measured, the headline first.
        episodes: Those that were scored for every engine.
        asked: How many there were to score.
        failures: Those that could not be.
        engines: In the order in which they ran; the floors first.
        seed: Of everything random in the engines.
        batch_size: Prompts given to an engine at once; None for as many as fit.
        workers: How many loaded and scored beside this process.
        options: Whatever else the caller wants written down.
        wall: Seconds that this process took, until the numbers were there.
        answered: Answers that it computed.
        earlier: Answers that an earlier process had computed.
    """

    dataset: str
    measures: Measures
    fingerprint: str
    metrics: tuple[Metric, ...]
    episodes: tuple[Episode, ...]
    asked: int
    failures: tuple[Failure, ...]
    engines: tuple[EngineResult, ...]
    seed: int
    batch_size: int | None
    workers: int
    options: Mapping[str, Any]
    wall: float
    answered: int
    earlier: int

    @property
    def headline(self) -> Metric:
        """The metric to be judged by."""
        return self.metrics[0]

    def engine(self, name: str) -> EngineResult:
        """One engine's.

        Raises:
            ValueError: If none is called so.
        """
        for engine in self.engines:
            if engine.name == name:
                return engine
        names = ", ".join(engine.name for engine in self.engines)
        raise ValueError(f"engine: got {name!r}, expected one of {names}")

    def to_json(self) -> dict[str, Any]:
        """As plain values, for results.json; single answers are in episodes.jsonl."""
        return {
            "format": FORMAT,
            "dataset": {
                "name": self.dataset,
                "measures": self.measures,
                "fingerprint": self.fingerprint,
            },
            "episodes": {
                "asked": self.asked,
                "scored": len(self.episodes),
                "failed": [asdict(failure) for failure in self.failures],
            },
            "metrics": [asdict(metric) for metric in self.metrics],
            "engines": [engine.to_json() for engine in self.engines],
            "seed": self.seed,
            "batch_size": self.batch_size,
            "workers": self.workers,
            "options": dict(self.options),
            "wall_clock": {
                "seconds": self.wall,
                "answered": self.answered,
                "from_earlier": self.earlier,
            },
        }


def show(interval: Interval, metric: Metric, *, signed: bool = False) -> str:
    """An interval in a metric's digits: "0.283 [0.241, 0.325]"; `signed` for differences."""
    sign = "+" if signed else ""
    centre, low, high = (
        format(round(value, metric.digits) + 0.0, f"{sign}.{metric.digits}f")  # never "-0.000"
        for value in (interval.mean, interval.low, interval.high)
    )
    return f"{centre} [{low}, {high}]"


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table for a document, a line each row."""
    cells = [[cell.replace("|", "\\|") for cell in line] for line in (headers, *rows)]
    first, *others = (f"| {' | '.join(line)} |\n" for line in cells)
    return "".join([first, "|" + "---|" * len(headers) + "\n", *others])


def heading(metric: Metric) -> str:
    """A metric's title, with its unit and, where less is better, an arrow down."""
    unit = f", {metric.unit}" if metric.unit else ""
    return f"{metric.title}{unit}{'' if metric.higher_is_better else ' ↓'}"


def _intervals(values: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: asdict(interval) for name, interval in values.items()}
