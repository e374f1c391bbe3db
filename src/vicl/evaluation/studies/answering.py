"""What the studies share: every variant answers the same episodes, and becomes rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress

from vicl.engine import Filled, InContextModel
from vicl.evaluation.episodes import Dataset, Episode
from vicl.evaluation.running.answering import Answerer
from vicl.evaluation.scoring.scorers import Scorer, Scores
from vicl.evaluation.studies.table import Row
from vicl.metrics import Statistic, bootstrap_statistic
from vicl.prompt import Prompt

HELD = 16
"""Episodes that are held in memory at once."""


@dataclass(frozen=True, eq=False)
class Variant:
    """One way of asking.

    Attributes:
        name: As the table has it.
        engines: Who is asked, each by another name.
        show: What becomes of an episode's prompt before an engine sees it.
        read: What becomes of an engine's answer before it is scored.
    """

    name: str
    engines: tuple[InContextModel, ...]
    show: Callable[[Prompt], Prompt] = lambda prompt: prompt
    read: Callable[[Filled], Filled] = lambda answer: answer

    def __post_init__(self) -> None:
        names = [engine.name for engine in self.engines]
        if len(set(names)) != len(names) or not names:
            raise ValueError(
                f"{self.name}: got engines named {names}, expected at least one, each with a name "
                "of its own; rename a model's folder to rename the model"
            )


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
    variants: Sequence[Variant],
    dataset: Dataset,
    episodes: Sequence[Episode],
    scorer: Scorer,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    progress: bool = False,
) -> list[Measured]:
    """Let every engine of every variant answer the same episodes.

    An episode is loaded once for all of them.

    Args:
        variants: In the order of the table, each of another name.
        dataset: Loads the episodes.
        episodes: At least one.
        scorer: Of the dataset's kind.
        seed: Of everything random in the engines.
        batch_size: Prompts given to an engine at once; None takes as many as fit. On a CPU it
            makes no difference to the answers.
        progress: Show a bar on standard error, where that is a terminal.

    Raises:
        ValueError: If there is no episode, or an engine cannot answer one.
        vicl.evaluation.episodes.DatasetError: If an episode cannot be loaded.
    """
    if not episodes:
        raise ValueError("episodes: got none, expected at least one")
    console = Console(stderr=True)
    asked = [(variant, engine) for variant in variants for engine in variant.engines]
    answerers = [Answerer(engine, batch_size=batch_size, seed=seed) for _, engine in asked]
    found: list[list[Scores]] = [[] for _ in asked]
    with Progress(console=console, disable=not (progress and console.is_terminal)) as bar:
        task = bar.add_task(dataset.name, total=len(episodes) * len(asked))
        for start in range(0, len(episodes), HELD):
            cases = [dataset.load(episode) for episode in episodes[start : start + HELD]]
            for (variant, _), answerer, scores in zip(asked, answerers, found, strict=True):
                answers = answerer.answer([variant.show(case.prompt) for case in cases])
                for case, answer in zip(cases, answers, strict=True):
                    if isinstance(answer, Exception):
                        raise ValueError(f"{variant.name}: {answer}") from answer
                    scores.append(scorer.score(case, variant.read(answer)))
                bar.advance(task, len(cases))
    return [
        Measured(variant.name, engine.name, tuple(scores))
        for (variant, engine), scores in zip(asked, found, strict=True)
    ]


def make_rows(measured: Sequence[Measured], scorer: Scorer) -> tuple[Row, ...]:
    """Score whole sets by the headline metric.

    Differences are to the first of the same engine, paired by episode; there is none where the
    numbers of episodes differ.
    """
    metric = scorer.metrics[0].name
    first: dict[str, Measured] = {}
    rows = []
    for entry in measured:
        statistic = scorer.statistics(entry.scores)[metric]
        base = first.setdefault(entry.engine, entry)
        difference = None
        if base is not entry and len(base.scores) == len(entry.scores):
            before = scorer.statistics(base.scores)[metric]
            difference = bootstrap_statistic(_minus(statistic, before), len(entry.scores))
        rows.append(
            Row(
                variant=entry.variant,
                engine=entry.engine,
                interval=bootstrap_statistic(statistic, len(entry.scores)),
                difference=difference,
                scores=tuple(scores.values[metric] for scores in entry.scores),
            )
        )
    return tuple(rows)


def _minus(one: Statistic, other: Statistic) -> Statistic:
    return lambda draws: one(draws) - other(draws)
