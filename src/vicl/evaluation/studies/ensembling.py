"""What is gained by several canvases: arrangements and examples, fused in different ways.

Source: Bar et al. 2022, arXiv:2209.00647 (prompt ensembling); see :mod:`vicl.prompting.fusing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vicl.canvas.arrangements import ARRANGEMENTS
from vicl.engine import InContextModel, Inpainter
from vicl.evaluation.episodes import Dataset
from vicl.evaluation.studies.mean_features import MeanFeatures
from vicl.evaluation.studies.table import StudyTable
from vicl.evaluation.studies.variants import Asking, Shown, first, measure, tabulate
from vicl.models.autoregressive import Autoregressive
from vicl.models.floors import Copy
from vicl.models.masked_autoencoder import MaskedAutoencoder
from vicl.prompting.asking import shown_by
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.fusing import Fusion, fuses_tokens
from vicl.tasks import get_task


def run(
    inpainters: Mapping[str, Inpainter],
    dataset: Dataset,
    asking: Asking,
    *,
    examples: int = 5,
) -> StudyTable:
    """Answer the same queries on one canvas, in all arrangements, and with an example a canvas.

    Args:
        inpainters: By their names. One that scores no tokens can only be fused as images, and only
            of a masked autoencoder features can be averaged.
        dataset: Of any task.
        asking: Which episodes, and how.
        examples: How many an episode has, at least 2; over arrangements the first alone is shown.

    Raises:
        ValueError: If `examples` is under 2.
        vicl.evaluation.episodes.DatasetError: If there are not enough images.
    """
    if examples < 2:
        raise ValueError(f"examples: got {examples}, expected at least 2 to fuse")
    arrangements = f"{len(ARRANGEMENTS)} arrangements"
    several = f"{examples} examples, a canvas each"
    variants: dict[tuple[str, str], InContextModel] = {
        ("1 example", Copy.name): Shown(Copy(), first(1)),
        **{
            ("1 example", name): Shown(CanvasModel(one, spins=1), first(1))
            for name, one in inpainters.items()
        },
        (f"{examples} examples", Copy.name): Copy(),
    }
    ready = [
        (fuse, words, name, one)
        for fuse, words in _WORDS.items()
        for name, one in inpainters.items()
        if fuse in ("images", "vote") or fuses_tokens(one)
    ]
    how: dict[str, Any] = {"spins": 1, "shows": shown_by(get_task(dataset.task))}
    for fuse, words, name, one in ready:
        if not isinstance(one, Autoregressive):  # which has one arrangement
            fused = CanvasModel(one, arrangements=tuple(ARRANGEMENTS), fuse=fuse, **how)
            variants[f"{arrangements}: {words}", name] = Shown(fused, first(1))
    for fuse, words, name, one in ready:
        fused = CanvasModel(one, fuse=fuse, examples_per_canvas=1, **how)
        variants[f"{several}: {words}", name] = fused
    for name, one in inpainters.items():
        if isinstance(one, MaskedAutoencoder):
            variants[f"{several}: mean of features", name] = MeanFeatures(one)
    measured = measure(variants, dataset, asking.episodes(dataset, examples), asking)
    note = (
        "The product of probabilities and the mean of scores choose the same tokens, so that their "
        "rows agree. Features are those of the encoder, averaged over the canvases before one is "
        "decoded; after the decoder their mean is that of the scores."
    )
    return tabulate("ensembling", "Ensembling", measured, dataset, [note])


_WORDS: dict[Fusion, str] = {
    "probabilities": "mean of probabilities",
    "logits": "mean of scores",
    "product": "product",
    "max": "maximum",
    "images": "mean of images",
    "weighted": "mean weighted by likelihood",
    "vote": "vote on pixels",
}
