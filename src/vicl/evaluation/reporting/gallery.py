"""Contact sheets of an evaluation: its best, median and worst answers, with all engines beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image
from torch import Tensor

from vicl.engine import InContextModel
from vicl.evaluation.episodes import Dataset, Episode
from vicl.evaluation.running.results import Results
from vicl.exports.sheets import contact_sheet
from vicl.images import to_tensor

EACH = 3
"""Rows of a sheet."""

SHOWN_EXAMPLES = 2
"""How many examples of an episode a sheet shows, at most."""

RANKS = ("best", "median", "worst")


def draw_sheets(
    results: Results, engines: Mapping[str, InContextModel], dataset: Dataset
) -> dict[str, Image.Image]:
    """Draw the answers by which the last engine did best, middling and worst.

    The answers are computed again, since pictures of all would fill the disk.

    Args:
        results: Of the run.
        engines: That it had, by name, in its order; a column each.
        dataset: Loads the episodes.

    Returns:
        A sheet by "best", "median" and "worst".
    """
    judged = results.engines[-1]
    values = [record.scores.values[results.headline.name] for record in judged.records]
    ranks = choose(values, higher_is_better=results.headline.higher_is_better)
    rows = {
        index: _row(results.episodes[index], engines, dataset, results.seed)
        for index in sorted({index for indices in ranks.values() for index in indices})
    }
    return {rank: _draw(results, indices, rows, engines) for rank, indices in ranks.items()}


def choose(
    values: Sequence[float], *, higher_is_better: bool, each: int = EACH
) -> dict[str, list[int]]:
    """Choose indices of the best, median and worst values, the better first; ties by index."""
    order = sorted(range(len(values)), key=lambda i: -values[i] if higher_is_better else values[i])
    each = min(each, len(values))
    middle = (len(order) - each) // 2
    starts = (0, middle, len(order) - each)
    return {rank: order[start : start + each] for rank, start in zip(RANKS, starts, strict=True)}


def _row(
    episode: Episode, engines: Mapping[str, InContextModel], dataset: Dataset, seed: int
) -> list[Tensor | None]:
    """The pictures of an episode: examples, query, truth, answers."""
    case = dataset.load(episode)
    shown = [
        to_tensor(image)
        for example in case.prompt.examples[:SHOWN_EXAMPLES]
        for image in (example.input, example.output)
    ]
    answers = [engine.answer([case.prompt], seed=seed)[0].image for engine in engines.values()]
    return [*shown, to_tensor(case.prompt.query), case.truth.image, *answers]


def _draw(
    results: Results,
    indices: Sequence[int],
    rows: dict[int, list[Tensor | None]],
    engines: Mapping[str, InContextModel],
) -> Image.Image:
    metric = results.headline
    answers = len(engines)
    pairs = (len(rows[indices[0]]) - answers - 2) // 2
    headers = [name for _ in range(pairs) for name in ("example", "its output")]
    headers += ["query", "truth", *engines]
    captions: list[list[str | None]] = []
    labels = []
    for index in indices:
        episode = results.episodes[index]
        values = [engine.records[index].scores.values[metric.name] for engine in results.engines]
        # The number first: what is too long for the cell is cut.
        scores = [f"{value:.{metric.digits}f} {metric.title}" for value in values]
        captions.append([*[None] * (len(headers) - answers), *scores])
        labels.append(f"{episode.class_name or episode.task}\nepisode {episode.index}")
    return contact_sheet(
        [rows[index] for index in indices], headers=headers, labels=labels, captions=captions
    )
