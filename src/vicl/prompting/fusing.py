"""Fusing: one answer of what several views of a prompt gave.

Source: Bar et al. 2022, arXiv:2209.00647 (prompt ensembling); arrangements and the pixel vote as in
Sun et al. 2023 (prompt-SelF), arXiv:2304.04748.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from vicl.engine import Filled, Inpainter, TokenInpainter
from vicl.metrics import iou

TokenFusion = Literal["probabilities", "logits", "product", "max"]
Fusion = Literal["answers", "weighted", "images", "vote", TokenFusion]
"""How views become one answer.

answers: the mean of the views' answers, each at the query's size; views may have cells of any size.
weighted: likewise, each weighing as :func:`likelihood_weights` says, for inpainters that give a
likelihood.
images: the mean of what stands in the answer's cell; vote: prompt-SelF's pixel vote on it, see
:func:`pixel_vote`.  probabilities: the mean of the tokens'
probabilities; logits: the mean of their scores; product: the product of their probabilities; max:
the greatest of their probabilities; each token's, then the likeliest token is drawn.  The product
chooses the same tokens as the mean of the scores, which differ from logarithms of probabilities by
one number a place; only how sure it is of them differs.
"""
TOKEN_FUSIONS: tuple[TokenFusion, ...] = get_args(TokenFusion)
FUSIONS: tuple[Fusion, ...] = ("answers", "weighted", "images", "vote", *TOKEN_FUSIONS)

Shows = Literal["mask", "edges", "image"]
"""What the answers' pictures show: white on black, lines, or any colours."""

ANSWER_FUSIONS: tuple[Fusion, ...] = ("answers", "weighted")
"""Those that fuse at the query's size."""

VOTE_OF_MASKS: Final = 127
VOTE_OF_EDGES: Final = 102
"""Levels, of 255, above which the mean of the votes is white; prompt-SelF's."""


def fuse_logits(logits: Float[Tensor, "m p k"], fuse: TokenFusion) -> Float[Tensor, "p k"]:
    """Fuse what several canvases say of the same places.

    Args:
        logits: Scores of `k` tokens at `p` places, from each of `m` canvases.
        fuse: See :data:`Fusion`.

    Returns:
        Logarithms of probabilities, which sum to 1 at each place.
    """
    each = logits.log_softmax(dim=-1)
    if fuse == "probabilities":
        mixed = each.logsumexp(dim=0)
    elif fuse == "logits":
        mixed = logits.mean(dim=0)
    elif fuse == "product":
        mixed = each.sum(dim=0)
    else:
        mixed = each.amax(dim=0)
    return mixed.log_softmax(dim=-1)


def pixel_vote(
    cells: Float[Tensor, "m 3 h w"] | UInt8[Tensor, "m 3 h w"], shows: Shows
) -> Float[Tensor, "3 h w"]:
    """Let the cells of several canvases vote on each pixel, in 8 bits.

    Source: prompt-SelF's published evaluation (Sun et al. 2023, arXiv:2304.04748). Differs: what is
    black and white here is read by the mean of its channels, there only what is 255 in all three
    counts; and the truth is made black and white too, whose grey edges count for nothing there.

    Args:
        cells: In [0, 1], or in levels.
        shows: Of a mask each channel of the cells' mean is white above :data:`VOTE_OF_MASKS`, else
            black; of edges a pixel is where any channel is above :data:`VOTE_OF_EDGES`; of an image
            the mean is rounded, halves to the even level.
    """
    levels = cells if cells.dtype == torch.uint8 else cells.mul(255).round().clamp(0, 255)
    mean = levels.double().mean(dim=0)
    if shows == "mask":
        return (mean > VOTE_OF_MASKS).float()
    if shows == "edges":
        return (mean > VOTE_OF_EDGES).any(dim=0).float().expand(3, -1, -1).contiguous()
    return mean.round().div(255).float()


def agreement(one: Float[Tensor, "3 h w"], other: Float[Tensor, "3 h w"], shows: Shows) -> float:
    """How far two pictures agree, in [0, 1].

    The IoU of masks, both read at a half; of other pictures 1 less the mean absolute difference.
    """
    if shows == "mask":
        return iou(_white(one), _white(other))
    return 1 - float((one - other).abs().mean())


def is_empty(picture: Float[Tensor, "3 h w"], shows: Shows) -> bool:
    """Whether a picture is of a mask, and nothing is marked in it."""
    return shows == "mask" and not _white(picture).any()


def _white(mask: Float[Tensor, "3 h w"]) -> Bool[np.ndarray, "h w"]:
    return mask.mean(dim=0).numpy() > 0.5


def fuses_tokens(inpainter: Inpainter) -> bool:
    """Whether the scores of an inpainter's tokens can be fused: those by which it fills a hole."""
    return isinstance(inpainter, TokenInpainter) and inpainter.fills_by_scores


def likelihood_weights(log_likelihoods: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """How much each view counts: exp(l) over the sum of all exp(l), for l its mean log-likelihood.

    That is the geometric mean of the probabilities of its tokens. (The likelihoods themselves,
    which are products over dozens of tokens, would leave the answer to a single view.)

    Args:
        log_likelihoods: Of each view, a mean over the places of its hole.
    """
    return log_likelihoods.softmax(dim=0)


def mean_answer(answers: Sequence[Filled], weights: Float[Tensor, " m"] | None = None) -> Filled:
    """Average answers at the query's size; their canvas is the first one's.

    Args:
        answers: At least one.
        weights: Of each, which sum to 1; None: all weigh alike.
    """
    if len(answers) == 1:
        return answers[0]
    cells = [answer.cell for answer in answers]
    sizes = {cell.shape for cell in cells if cell is not None}
    return Filled(
        image=mean_of([answer.image for answer in answers], weights),
        confidence=mean_of_given([answer.confidence for answer in answers], weights),
        log_likelihood=mean_of_given([answer.log_likelihood for answer in answers], weights),
        cell=mean_of_given(cells, weights) if len(sizes) == 1 else None,
        canvas=answers[0].canvas,
    )


def mean_of(values: Sequence[Tensor], weights: Float[Tensor, " m"] | None = None) -> Tensor:
    """The mean of tensors of one shape; `weights` sum to 1, and None weighs all alike."""
    stacked = torch.stack([*values])
    return stacked.mean(dim=0) if weights is None else torch.tensordot(weights, stacked, dims=1)


def mean_of_given(
    values: Sequence[Tensor | None], weights: Float[Tensor, " m"] | None = None
) -> Tensor | None:
    """See :func:`mean_of`; None unless all are given."""
    given = [value for value in values if value is not None]
    return mean_of(given, weights) if len(given) == len(values) else None
