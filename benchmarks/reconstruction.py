"""How well a tokenizer draws what it is shown: the ceiling of every engine that predicts its codes.

Photographs are scored by PSNR, masks of one thing by IoU after rounding at one half.  Each is the
largest square at the middle of an image, brought to the size of the engine's canvas.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vicl.engine import Tokenizer
from vicl.evaluation.datasets.items import ItemDataset
from vicl.evaluation.datasets.reading import centre, draw
from vicl.evaluation.episodes import DatasetError
from vicl.images import resize
from vicl.metrics import Interval, bootstrap_interval, iou
from vicl.metrics.pictures import PSNR_CEILING, psnr


@torch.no_grad()
def reconstruction_psnr(
    tokenizer: Tokenizer, dataset: ItemDataset, size: tuple[int, int], *, count: int, seed: int = 0
) -> Interval:
    """Measure how near photographs come back, in dB, with the bootstrap 95% interval.

    Args:
        tokenizer: On the CPU.
        dataset: Of colorization, whose truths are the photographs.
        size: (height, width) of the canvas, in pixels.
        count: How many photographs, at most.
        seed: Of the choice.

    Raises:
        DatasetError: If there is none, or one cannot be read.
    """
    pairs = _reconstructed(tokenizer, dataset, size, count, seed)
    return bootstrap_interval(
        [min(PSNR_CEILING, psnr(drawn.numpy(), true.numpy())) for true, drawn in pairs]
    )


@torch.no_grad()
def reconstruction_iou(
    tokenizer: Tokenizer, dataset: ItemDataset, size: tuple[int, int], *, count: int, seed: int = 0
) -> Interval:
    """Measure how near masks, white on black, come back, with the bootstrap 95% interval.

    Args:
        tokenizer: On the CPU.
        dataset: Of segmentation, whose truths are the masks.
        size: (height, width) of the canvas, in pixels.
        count: How many masks, at most.
        seed: Of the choice.

    Raises:
        DatasetError: If there is none, or one cannot be read.
    """
    pairs = _reconstructed(tokenizer, dataset, size, count, seed, mask=True)
    halves = ((drawn.mean(dim=0) > 0.5, true[0] > 0.5) for true, drawn in pairs)
    return bootstrap_interval([iou(found.numpy(), wanted.numpy()) for found, wanted in halves])


def _reconstructed(
    tokenizer: Tokenizer,
    dataset: ItemDataset,
    size: tuple[int, int],
    count: int,
    seed: int,
    *,
    mask: bool = False,
) -> Iterator[tuple[Float[Tensor, "3 h w"], Float[Tensor, "3 h w"]]]:
    """Squares of the dataset's truths, no image twice, each with what the tokenizer makes of it."""
    shown: set[str] = set()
    # One by one, since a mask may lie outside the square.
    for index in np.random.default_rng(seed).permutation(len(dataset.queries)):
        query = dataset.queries[int(index)]
        if query.image in shown:
            continue
        drawn = draw(dataset.root, query, dataset.task, void=None, crop=None)
        square = resize(centre(drawn.output, "square"), size)
        true = (square > 0.5).float() if mask else square
        if mask and not bool(true.any()):
            continue
        shown.add(query.image)
        yield true, tokenizer.decode(tokenizer.encode(true[None]))[0]
        if len(shown) == count:
            return
    if not shown:
        raise DatasetError(f"{dataset.name}: the middle of none of its images shows what is marked")
