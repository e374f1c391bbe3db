"""Fine-tuning on a few labelled images, against prompting the same weights with these images.

For each class a few images are set aside as labelled.  Encoder and decoder are fine-tuned on them
(:mod:`vicl.evaluation.studies.fine_tuned`), once for each class and number of images; prompting
shows the same images as examples, and trains nothing.  Both answer the same queries.

Source: Bar et al. 2022, arXiv:2209.00647, section 5: MAE fine-tuned on 1, 4 and 16 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

from vicl.engine import InContextModel, Inpainter
from vicl.evaluation.episodes import Dataset, Episode, Item
from vicl.evaluation.scoring.scorers import Metric, scorer_for
from vicl.evaluation.studies.fine_tuned import FineTuned, FineTuning
from vicl.evaluation.studies.table import Row, StudyTable
from vicl.evaluation.studies.variants import Asking, Measured, measure
from vicl.files.progress import progress
from vicl.models.floors import Copy
from vicl.models.mae import MAE
from vicl.models.mae_vqgan import MAEVQGAN
from vicl.prompting.canvas_model import CanvasModel

SHOTS = (1, 4, 16)
"""How many labelled images, as published."""


def run(
    models: Mapping[str, Inpainter],
    dataset: Dataset,
    asking: Asking,
    *,
    shots: Sequence[int] = SHOTS,
    settings: FineTuning | None = None,
) -> StudyTable:
    """Compare fine-tuning with prompting.

    The labelled images of a class are the examples of its first episode; episodes that ask about
    one of them are left out.

    Args:
        models: MAE or MAE-VQGAN, by their names; Copy is added.
        dataset: Of segmentation or detection.
        asking: Which episodes, and how; its seed is that of the fine-tuning too.
        shots: How many labelled images; the fewer are the first of the more.
        settings: Of the fine-tuning; None for the defaults.

    Returns:
        The table; differences are of fine-tuning to prompting with the same images.

    Raises:
        ValueError: If a model cannot be fine-tuned so, the task has no masks, or `shots` holds no
            number or one under 1.
        vicl.evaluation.episodes.DatasetError: If a class has not enough images.
    """
    bodies = _checked(models, dataset, shots)
    settings = settings or FineTuning()
    scorer = scorer_for(dataset.measures)
    episodes = asking.episodes(dataset, max(shots))
    classes = _by_class(episodes)
    asking = replace(asking, options={**asking.options, "fine_tuning": str(settings)})
    found: dict[tuple[int, str], list[Measured]] = {}
    with progress("fine-tuning", total=len(shots) * len(classes), show=asking.progress) as advance:
        for shot, (place, asked) in product(shots, enumerate(classes)):
            shown = [replace(episode, examples=episode.examples[:shot]) for episode in asked]
            labelled = dataset.load(shown[0]).prompt.examples
            variant = f"{shot} labelled image{'s' if shot > 1 else ''}"
            engines: dict[tuple[str, str], InContextModel] = {(variant, Copy.name): Copy()}
            for name, body in bodies.items():
                engines[variant, name] = CanvasModel(body)
                engines[variant, _tuned(name)] = FineTuned(body, labelled, settings, asking.seed)
            quiet = replace(asking, progress=False)
            for entry in measure(engines, dataset, shown, quiet, part=f"{shot}-{place}"):
                found.setdefault((shot, entry.engine), []).append(entry)
            advance()
    rows = _rows(found, {_tuned(name): name for name in bodies}, scorer.metrics[0])
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


def _tuned(name: str) -> str:
    return f"{name}, fine-tuned"


def _checked(
    models: Mapping[str, Inpainter], dataset: Dataset, shots: Sequence[int]
) -> dict[str, MAE | MAEVQGAN]:
    if dataset.task not in ("segmentation", "detection"):
        raise ValueError(
            f"dataset: got one of {dataset.task}, expected segmentation or detection, whose "
            "answers are masks"
        )
    if not shots or min(shots) < 1 or len(set(shots)) != len(shots):
        raise ValueError(f"shots: got {tuple(shots)}, expected different numbers, 1 or more")
    bodies = {n: model for n, model in models.items() if isinstance(model, MAE | MAEVQGAN)}
    if not bodies or len(bodies) != len(models):
        kinds = ", ".join(type(model).__name__ for model in models.values()) or "none"
        raise ValueError(
            f"models: got {kinds}, expected MAE or MAE-VQGAN, whose encoder and decoder can be "
            "fine-tuned"
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
    """Put the classes together, by number of images and engine.

    `prompted` has what those that are fine-tuned are compared with.
    """
    values = {
        key: tuple(scores.values[metric.name] for entry in entries for scores in entry.scores)
        for key, entries in found.items()
    }
    return tuple(
        Row.of_means(
            found[shot, engine][0].variant,
            engine,
            scores,
            values[shot, prompted[engine]] if engine in prompted else None,
        )
        for (shot, engine), scores in values.items()
    )
