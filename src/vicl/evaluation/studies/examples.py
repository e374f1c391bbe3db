"""How many examples help, and how much it matters which one is shown.

Source: Bar et al. 2022, arXiv:2209.00647 (more examples help); Zhang et al. 2023, arXiv:2301.13670
(which example is shown matters).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from vicl.engine import InContextModel
from vicl.evaluation.episodes import Dataset
from vicl.evaluation.scoring.scorers import Metric, scorer_for
from vicl.evaluation.studies.table import Row, StudyTable
from vicl.evaluation.studies.variants import Asking, Measured, Shown, first, make_rows, measure
from vicl.models.floors import Copy
from vicl.prompt import Prompt

MOST = 7
"""Examples, as in the paper's figure."""


def run(
    engines: Mapping[str, InContextModel],
    dataset: Dataset,
    asking: Asking,
    *,
    most: int = MOST,
) -> StudyTable:
    """Answer the same queries with 1 to `most` examples, and with each of these alone.

    An episode's examples are drawn once: the first is shown, then the first two, and so on; then
    each of the others alone.  Where an engine has no room for all of them, it answers in groups and
    averages (see :class:`vicl.prompting.canvas_model.CanvasModel`).

    Args:
        engines: By their names; Copy is added.
        dataset: Of any task.
        asking: Which episodes, and how.
        most: How many examples an episode has, at least 2.

    Returns:
        The table. Its last rows are, for each query, the worst and the best of its single
        examples, judged by the truth: within these a selection of examples can move.

    Raises:
        ValueError: If `most` is under 2.
        vicl.evaluation.episodes.DatasetError: If there are not enough images.
    """
    if most < 2:
        raise ValueError(f"most: got {most}, expected at least 2 examples to compare")
    asked: dict[str, InContextModel] = {Copy.name: Copy(), **engines}
    numbers = [_numbered(n) for n in range(1, most + 1)]
    singles = [numbers[0], *(f"example {n} alone" for n in range(2, most + 1))]
    shows = {name: first(n) for n, name in enumerate(numbers, start=1)}
    shows |= {name: _only(n) for n, name in enumerate(singles[1:], start=1)}
    scorer = scorer_for(dataset.measures)
    metric = scorer.metrics[0]
    variants = {
        (name, engine): Shown(model, show)
        for name, show in shows.items()
        for engine, model in asked.items()
    }
    measured = measure(variants, dataset, asking.episodes(dataset, most), asking)
    alone = [entry for entry in measured if entry.variant in singles]
    measured += [
        _extreme(alone, engine, metric, best=best) for best in (False, True) for engine in asked
    ]
    rows = make_rows(measured, scorer)
    places: dict[str, float] = {name: float(n) for n, name in enumerate(numbers, start=1)}
    places |= dict.fromkeys(singles, 1.0)
    return StudyTable(
        "examples",
        f"Number and choice of examples: {dataset.name}",
        metric,
        rows,
        tuple(_spread(rows, engine, singles, metric) for engine in asked),
        x=tuple(places.get(row.variant) for row in rows),
        x_title="examples (at 1: each example alone)",
    )


def _numbered(number: int) -> str:
    return f"{number} example{'s' if number > 1 else ''}"


def _only(position: int) -> Callable[[Prompt], Prompt]:
    return lambda prompt: Prompt([prompt.examples[position]], prompt.query)


def _extreme(alone: Sequence[Measured], engine: str, metric: Metric, *, best: bool) -> Measured:
    """The best or worst of an engine's answers to each query."""
    choices = [entry.scores for entry in alone if entry.engine == engine]
    pick = max if best == metric.higher_is_better else min
    chosen = tuple(
        pick(several, key=lambda scores: scores.values[metric.name])
        for several in zip(*choices, strict=True)
    )
    return Measured(f"the {'best' if best else 'worst'} example alone", engine, chosen)


def _spread(rows: Sequence[Row], engine: str, singles: Sequence[str], metric: Metric) -> str:
    """How far single examples lie apart: set by set, and for one query."""
    shown = [row for row in rows if row.engine == engine and row.variant in singles]
    sets = float(np.std([row.interval.mean for row in shown], ddof=1))
    queries = float(np.std([row.scores for row in shown], axis=0, ddof=1).mean())
    return (
        f"{engine}: standard deviation over the choice of one example, of the whole set's score "
        f"{sets:.{metric.digits}f}, of one query's {queries:.{metric.digits}f} on average."
    )
