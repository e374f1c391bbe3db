"""What is gained by several canvases: arrangements and examples, fused in different ways.

Source: Bar et al. 2022, arXiv:2209.00647 (prompt ensembling); see :mod:`vicl.prompting.fusing`.
"""

from __future__ import annotations

from collections.abc import Sequence

from vicl.canvas.arrangements import ARRANGEMENTS
from vicl.engine import Inpainter
from vicl.evaluation.episodes import Dataset
from vicl.evaluation.scoring.scorers import scorer_for
from vicl.evaluation.studies.answering import Variant, make_rows, measure
from vicl.evaluation.studies.table import StudyTable
from vicl.models.autoregressive import Autoregressive
from vicl.models.floors import Copy
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.fusing import TOKEN_FUSIONS, Fusion, fuses_tokens


def run(
    inpainters: Sequence[Inpainter],
    dataset: Dataset,
    *,
    count: int | None = 100,
    seed: int = 0,
    examples: int = 5,
    batch_size: int | None = None,
    progress: bool = False,
) -> StudyTable:
    """Answer the same queries on one canvas, in all arrangements, and with an example a canvas.

    Args:
        inpainters: Each with another name. One that scores no tokens can only be fused as images.
        dataset: Of any kind.
        count: How many episodes; None for all.
        seed: Of the episodes.
        examples: How many an episode has, at least 2; over arrangements the first alone is shown.
        batch_size: Prompts given to an engine at once where it has one canvas; an ensemble's
            canvases are a batch by themselves.
        progress: See :func:`vicl.evaluation.studies.answering.measure`.

    Raises:
        ValueError: If `examples` is under 2.
        vicl.evaluation.episodes.DatasetError: If there are not enough images.
    """
    if examples < 2:
        raise ValueError(f"examples: got {examples}, expected at least 2 to fuse")
    arrangements = f"{len(ARRANGEMENTS)} arrangements"
    several = f"{examples} examples, a canvas each"
    variants = [
        Variant("1 example", (Copy(), *(CanvasModel(one, spins=1) for one in inpainters)), _first),
        Variant(f"{examples} examples", (Copy(),)),
    ]
    fusions: tuple[Fusion, ...] = (*TOKEN_FUSIONS, "images")
    every = tuple(ARRANGEMENTS)
    for fuse in fusions:
        ready = [one for one in inpainters if fuse == "images" or fuses_tokens(one)]
        # An autoregressive model has one arrangement.
        turned = [one for one in ready if not isinstance(one, Autoregressive)]
        over = tuple(CanvasModel(one, arrangements=every, fuse=fuse) for one in turned)
        each = tuple(CanvasModel(one, fuse=fuse, examples_per_canvas=1) for one in ready)
        if over:
            variants.append(Variant(f"{arrangements}: {_WORDS[fuse]}", over, _first))
        if each:
            variants.append(Variant(f"{several}: {_WORDS[fuse]}", each))
    variants.sort(key=lambda variant: variant.name.startswith(several))
    scorer = scorer_for(dataset.kind)
    measured = measure(
        variants,
        dataset,
        dataset.episodes(count, seed=seed, examples=examples),
        scorer,
        seed=seed,
        batch_size=batch_size,
        progress=progress,
    )
    return StudyTable(
        "ensembling",
        f"Ensembling: {dataset.name}",
        scorer.metrics[0],
        make_rows(measured, scorer),
        (
            "The product of probabilities and the mean of scores choose the same tokens, so that "
            "their rows agree.",
        ),
    )


_WORDS: dict[Fusion, str] = {
    "probabilities": "mean of probabilities",
    "logits": "mean of scores",
    "product": "product",
    "max": "maximum",
    "images": "mean of images",
}


def _first(prompt: Prompt) -> Prompt:
    return Prompt(prompt.examples[:1], prompt.query)
