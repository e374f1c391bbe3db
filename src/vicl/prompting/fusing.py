"""Fusing: one answer of what several views of a prompt gave.

Source: Bar et al. 2022, arXiv:2209.00647 (prompt ensembling); arrangements as in Sun et
al. 2023, arXiv:2304.04748.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from vicl.engine import Filled, Inpainter, TokenInpainter

TokenFusion = Literal["probabilities", "logits", "product", "max"]
Fusion = Literal["answers", "images", TokenFusion]
"""How views become one answer.

answers: the mean of the views' answers, each at the query's size; views may have cells of any size.
images: the mean of what stands in the answer's cell.  probabilities: the mean of the tokens'
probabilities; logits: the mean of their scores; product: the product of their probabilities; max:
the greatest of their probabilities; each token's, then the likeliest token is drawn.  The product
chooses the same tokens as the mean of the scores, which differ from logarithms of probabilities by
one number a place; only how sure it is of them differs.
"""
TOKEN_FUSIONS: tuple[TokenFusion, ...] = get_args(TokenFusion)
FUSIONS: tuple[Fusion, ...] = ("answers", "images", *TOKEN_FUSIONS)


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


def fuses_tokens(inpainter: Inpainter) -> bool:
    """Whether the scores of an inpainter's tokens can be fused: those by which it fills a hole."""
    return isinstance(inpainter, TokenInpainter) and inpainter.fills_by_scores


def mean_answer(answers: Sequence[Filled]) -> Filled:
    """Average answers at the query's size; their canvas is the first one's."""
    if len(answers) == 1:
        return answers[0]
    cells = [answer.cell for answer in answers]
    sizes = {cell.shape for cell in cells if cell is not None}
    return Filled(
        image=torch.stack([answer.image for answer in answers]).mean(dim=0),
        confidence=mean_of_given([answer.confidence for answer in answers]),
        log_likelihood=mean_of_given([answer.log_likelihood for answer in answers]),
        cell=mean_of_given(cells) if len(sizes) == 1 else None,
        canvas=answers[0].canvas,
    )


def mean_of_given(values: Sequence[Tensor | None]) -> Tensor | None:
    """The mean of tensors of one shape; None unless all are given."""
    given = [value for value in values if value is not None]
    return torch.stack(given).mean(dim=0) if len(given) == len(values) else None
