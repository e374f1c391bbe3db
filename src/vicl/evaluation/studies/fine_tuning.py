"""Fine-tuning on a few labelled images, against prompting the same weights with these images.

For each class a few images are set aside as labelled.  Encoder and decoder are fine-tuned on them
(:mod:`vicl.evaluation.studies.fine_tuned`), once for each class and number of images; prompting
shows the same images as examples, and trains nothing.  Both answer the same queries.

Source: Bar et al. 2022, arXiv:2209.00647, section 5: MAE fine-tuned on 1, 4 and 16 images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.progress import track

from vicl.engine import InContextModel, Inpainter
from vicl.evaluation.episodes import Dataset, Episode, Item
from vicl.evaluation.scoring.scorers import Metric, scorer_for
from vicl.evaluation.studies.answering import Measured, Variant, measure
from vicl.evaluation.studies.fine_tuned import FineTuning, fine_tune
from vicl.evaluation.studies.table import Row, StudyTable
from vicl.metrics import bootstrap_interval, paired_interval
from vicl.models.floors import Copy
from vicl.models.mae import MAE
from vicl.models.mae_vqgan import MAEVQGAN
from vicl.prompting.canvas_model import CanvasModel

SHOTS = (1, 4, 16)
"""How many labelled images, as published."""


def run(
    models: Sequence[Inpainter],
    dataset: Dataset,
    *,
    count: int | None = 100,
    seed: int = 0,
    shots: Sequence[int] = SHOTS,
    settings: FineTuning | None = None,
    batch_size: int | None = None,
    progress: bool = False,
) -> StudyTable:
    """Compare fine-tuning with prompting.

    The labelled images of a class are the examples of its first episode; episodes that ask about
    one of them are left out.

    Args:
        models: MAE or MAE-VQGAN, each with another name; Copy is added.
        dataset: Of kind segmentation or detection.
        count: How many episodes; None for all.
        seed: Of the episodes and of the fine-tuning.
        shots: How many labelled images; the fewer are the first of the more.
        settings: Of the fine-tuning; None for the defaults.
        batch_size: See :func:`vicl.evaluation.studies.answering.measure`.
        progress: Show a bar on standard error, where that is a terminal.

    Returns:
        The table; differences are of fine-tuning to prompting with the same images.

    Raises:
        ValueError: If a model cannot be fine-tuned so, the kind has no masks, or `shots` holds no
            number or one under 1.
        vicl.evaluation.episodes.DatasetError: If a class has not enough images.
    """
    bodies = _checked(models, dataset, shots)
    settings = settings or FineTuning()
    scorer = scorer_for(dataset.kind)
    episodes = dataset.episodes(count, seed=seed, examples=max(shots))
    classes = _by_class(episodes)
    found: dict[tuple[int, str], list[Measured]] = {}
    console = Console(stderr=True)
    for shot, asked in track(
        [(shot, asked) for shot in shots for asked in classes],
        "fine-tuning",
        console=console,
        disable=not (progress and console.is_terminal),
    ):
        shown = [replace(episode, examples=episode.examples[:shot]) for episode in asked]
        labelled = dataset.load(shown[0]).prompt.examples
        engines: list[InContextModel] = [Copy()]
        for body in bodies:
            engines += [CanvasModel(body), fine_tune(body, labelled, settings, seed=seed)]
        variant = Variant(f"{shot} labelled image{'s' if shot > 1 else ''}", tuple(engines))
        for entry in measure([variant], dataset, shown, scorer, seed=seed, batch_size=batch_size):
            found.setdefault((shot, entry.engine), []).append(entry)
    rows = _rows(
        found, {f"{body.name}, fine-tuned": body.name for body in bodies}, scorer.metrics[0]
    )
    asked_about = sum(map(len, classes))
    return StudyTable(
        name="fine-tuning",
        title=f"Fine-tuning on a few labelled images against prompting: {dataset.name}",
        metric=scorer.metrics[0],
        rows=rows,
        notes=(
            f"{len(classes)} classes, fine-tuned one by one: {settings}.",
            f"{len(episodes) - asked_about} of {len(episodes)} episodes were left out, since they "
            "ask about labelled images.",
            "Prompting shows the same labelled images as examples; more than a canvas holds are "
            "answered in groups, and the answers averaged.",
        ),
        x=tuple(float(shot) for shot, _ in found),
        x_title="labelled images of a class",
        log_x=True,
        difference_to="prompting the same weights with the same images",
    )


def _checked(
    models: Sequence[Inpainter], dataset: Dataset, shots: Sequence[int]
) -> list[MAE | MAEVQGAN]:
    if dataset.kind not in ("segmentation", "detection"):
        raise ValueError(
            f"dataset: got one of {dataset.kind}, expected segmentation or detection, whose "
            "answers are masks"
        )
    if not shots or min(shots) < 1 or len(set(shots)) != len(shots):
        raise ValueError(f"shots: got {tuple(shots)}, expected different numbers, 1 or more")
    bodies = [model for model in models if isinstance(model, MAE | MAEVQGAN)]
    if not bodies or len(bodies) != len(models):
        raise ValueError(
            f"models: got {', '.join(type(model).__name__ for model in models) or 'none'}, "
            "expected MAE or MAE-VQGAN, whose encoder and decoder can be fine-tuned"
        )
    return bodies


def _by_class(episodes: Sequence[Episode]) -> list[list[Episode]]:
    """The episodes of each class, each with the class's labelled images as its examples."""
    labelled: dict[tuple[str, str], tuple[Item, ...]] = {}
    found: dict[tuple[str, str], list[Episode]] = {}
    for episode in episodes:
        key = (episode.query.source, episode.class_name) if episode.class_name else ("", "")
        items = labelled.setdefault(key, episode.examples)
        if episode.query.image not in {item.image for item in items}:
            found.setdefault(key, []).append(replace(episode, examples=items))
    return list(found.values())


def _rows(
    found: dict[tuple[int, str], list[Measured]], prompted: dict[str, str], metric: Metric
) -> tuple[Row, ...]:
    """Put the classes together.

    Args:
        found: By number of images and engine, an entry a class.
        prompted: For the names of the fine-tuned the engines that they are compared with.
        metric: A mean over episodes.
    """
    values = {
        key: tuple(scores.values[metric.name] for entry in entries for scores in entry.scores)
        for key, entries in found.items()
    }
    return tuple(
        Row(
            variant=found[shot, engine][0].variant,
            engine=engine,
            interval=bootstrap_interval(scores),
            difference=paired_interval(scores, values[shot, prompted[engine]])
            if engine in prompted
            else None,
            scores=scores,
        )
        for (shot, engine), scores in values.items()
    )
