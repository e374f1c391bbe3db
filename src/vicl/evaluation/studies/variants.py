"""What the studies share: every variant is an engine of one run, and becomes a row of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vicl.engine import Filled, InContextModel
from vicl.evaluation.episodes import Dataset, Episode
from vicl.evaluation.reporting.report import write_report
from vicl.evaluation.running.engines import device_of
from vicl.evaluation.running.results import EvaluationError
from vicl.evaluation.running.runner import evaluate
from vicl.evaluation.running.summary import difference
from vicl.evaluation.scoring.scorers import Scorer, Scores, scorer_for
from vicl.evaluation.studies.table import Row, StudyTable
from vicl.metrics import bootstrap_statistic
from vicl.prompt import Prompt

RUN = "run"
"""Folder of a study's run, beside its table."""

Variants = Mapping[tuple[str, str], InContextModel]
"""Who is asked, by what was varied and who answers, both as the table has them."""


@dataclass(frozen=True)
class Asking:
    """Which episodes a study asks about, and how its run is done.

    Attributes:
        count: How many episodes; None for all.
        seed: Of the episodes, and of everything random in the engines.
        batch_size: See :func:`vicl.evaluation.running.runner.evaluate`.
        workers: Likewise.
        out: Folder of the study, whose run is in :data:`RUN`; None writes nothing.
        resume: Go on with the run in `out`, if there is one.
        progress: Show a bar on standard error, where that is a terminal.
        options: What else the numbers depend on, to be written down: plain values.
    """

    count: int | None = 100
    seed: int = 0
    batch_size: int | None = None
    workers: int = 0
    out: Path | None = None
    resume: bool = False
    progress: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"count: got {self.count}, expected at least 1 episode, or None")

    def episodes(self, dataset: Dataset, examples: int) -> list[Episode]:
        """Draw the episodes.

        Raises:
            vicl.evaluation.episodes.DatasetError: If there are not enough images.
        """
        return dataset.episodes(self.count, seed=self.seed, examples=examples)


@dataclass(frozen=True, eq=False)
class Shown:
    """An engine that is shown other prompts, or whose answers are read in another way.

    Attributes:
        model: The engine.
        show: What becomes of a prompt before the engine sees it.
        read: What becomes of its answer.
    """

    model: InContextModel
    show: Callable[[Prompt], Prompt] = lambda prompt: prompt
    read: Callable[[Filled], Filled] = lambda answer: answer

    @property
    def name(self) -> str:
        """The engine's."""
        return self.model.name

    @property
    def weights_hash(self) -> str | None:
        """The engine's."""
        return self.model.weights_hash

    @property
    def max_size(self) -> int | None:
        """The engine's."""
        return self.model.max_size

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`."""
        shown = [self.show(prompt) for prompt in prompts]
        return [self.read(one) for one in self.model.answer(shown, samples=samples, seed=seed)]


def first(count: int) -> Callable[[Prompt], Prompt]:
    """Show the first examples of a prompt only; for :class:`Shown`."""
    return lambda prompt: Prompt(prompt.examples[:count], prompt.query)


@dataclass(frozen=True, eq=False)
class Measured:
    """What one engine scored in one variant.

    Attributes:
        variant: The variant's name.
        engine: The engine's.
        scores: One an episode.
    """

    variant: str
    engine: str
    scores: tuple[Scores, ...]


def measure(
    variants: Variants,
    dataset: Dataset,
    episodes: Sequence[Episode],
    asking: Asking,
    *,
    part: str = "",
) -> list[Measured]:
    """Let every engine of every variant answer the same episodes, in one run.

    Args:
        variants: In the order of the table.
        dataset: Loads the episodes, and says what they are measured by.
        episodes: At least one.
        asking: How the run is done.
        part: Names the run, where a study has several of them with other episodes; these have no
            page of their own.

    Raises:
        EvaluationError: If there is no episode, one cannot be loaded, answered or scored, or the
            run cannot go on.
    """
    engines = {f"{engine}: {variant}": model for (variant, engine), model in variants.items()}
    folder = None if asking.out is None else asking.out / RUN / part
    results = evaluate(
        engines,
        dataset,
        episodes,
        folder,
        scorer=scorer_for(dataset.measures),
        batch_size=asking.batch_size,
        workers=asking.workers,
        seed=asking.seed,
        options={**asking.options, "devices": [device_of(one).type for one in engines.values()]},
        resume=asking.resume,
        progress=asking.progress,
    )
    if results.failures:
        raise EvaluationError(
            f"{len(results.failures)} of {results.asked} episodes failed, and a study compares the "
            f"same episodes throughout; the first: {results.failures[0]}"
        )
    if folder is not None and not part:
        write_report(results, engines, dataset, folder)
    return [
        Measured(variant, engine, tuple(record.scores for record in found.records))
        for (variant, engine), found in zip(variants, results.engines, strict=True)
    ]


def tabulate(
    name: str,
    title: str,
    measured: Sequence[Measured],
    dataset: Dataset,
    notes: Sequence[str],
    **axis: Any,
) -> StudyTable:
    """The table of what was measured, by the headline metric.

    Args:
        name: See :class:`StudyTable`, of `title`, `notes` and `axis` (what it says besides) too.
        title: The dataset's name is put after it.
        measured: In the order of the table.
        dataset: That was asked about.
        notes: Sentences.
        **axis: What the figure shows along it.
    """
    scorer = scorer_for(dataset.measures)
    rows, title = make_rows(measured, scorer), f"{title}: {dataset.name}"
    return StudyTable(name, title, scorer.metrics[0], rows, tuple(notes), **axis)


def make_rows(measured: Sequence[Measured], scorer: Scorer) -> tuple[Row, ...]:
    """Score whole sets by the headline metric.

    Differences are to the first of the same engine, paired by episode; there is none where the
    numbers of episodes differ.
    """
    metric = scorer.metrics[0].name
    bases: dict[str, Measured] = {}
    rows = []
    for entry in measured:
        statistic, count = scorer.statistics(entry.scores)[metric], len(entry.scores)
        base = bases.setdefault(entry.engine, entry)
        change = None
        if base is not entry and len(base.scores) == count:
            before = scorer.statistics(base.scores)[metric]
            change = bootstrap_statistic(difference(statistic, before), count)
        rows.append(
            Row(
                variant=entry.variant,
                engine=entry.engine,
                interval=bootstrap_statistic(statistic, count),
                difference=change,
                scores=tuple(scores.values[metric] for scores in entry.scores),
            )
        )
    return tuple(rows)
