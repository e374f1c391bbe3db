"""Where the tokens of one hole look, read from the model while it fills it.

The weights are those of the layers in which the hole has tokens: the decoder of a masked
autoencoder, the one transformer of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vicl.engine import Inpainter
from vicl.models.autoregressive import Autoregressive
from vicl.models.beit import BEiT
from vicl.models.masked_autoencoder import MaskedAutoencoder
from vicl.models.tokens import hole_tokens
from vicl.models.vit import Transformer, watching


@dataclass(frozen=True, eq=False)
class HoleAttention:
    """What the tokens of one canvas's hole looked at.

    Attributes:
        weights: From each of the hole's m tokens to the token that has no place (class or start),
            then to all n places of the canvas in raster order; each row sums to 1.
        even: The same for a token that prefers nothing of what it may look at.
        places: Of the hole's tokens.
        filled: The canvas as it was filled, RGB in [0, 1].
    """

    weights: Float[Tensor, "layers heads m keys"]
    even: Float[Tensor, "m keys"]
    places: Int[Tensor, " m"]
    filled: Float[Tensor, "3 H W"]


@torch.no_grad()
def hole_attention(
    model: Inpainter, image: Float[Tensor, "3 H W"], hole: Bool[Tensor, "H W"]
) -> HoleAttention:
    """Fill a hole, and see where its tokens look.

    Args:
        model: MAE-VQGAN, MAE, BEiT or autoregressive.
        image: A canvas, RGB in [0, 1].
        hole: True = to fill; whole patches.

    Raises:
        ValueError: If the model has no attention, or cannot fill this hole.
    """
    stack, leading = _stack(model)
    places = hole_tokens(hole[None], model.patch_size)[0].nonzero()[:, 0]
    count = hole.numel() // model.patch_size**2
    seen: list[list[Tensor]] = [[] for _ in stack.blocks]
    with ExitStack() as watched:
        for block, parts in zip(stack.blocks, seen, strict=True):
            watched.enter_context(watching([block.attn.maps], parts.append))  # type: ignore
        filled = model.inpaint(image[None], hole[None]).image[0]
    weights = torch.stack([_rows(parts, count)[:, places + leading] for parts in seen])
    even = torch.ones(len(places), count + 1)
    if not leading:
        # A causal token looks at the start and at the codes before its own place.
        even = (torch.arange(count + 1) <= places[:, None]).float()
    return HoleAttention(weights, even / even.sum(dim=1, keepdim=True), places, filled)


def _stack(model: Inpainter) -> tuple[Transformer, int]:
    """The blocks in which the hole has tokens, and how many of these stand before the first place.

    In all of them the first key is that of a token without a place; the autoregressive model's
    queries have no such token, since what it says of a place comes from the token before it.
    """
    if isinstance(model, MaskedAutoencoder):
        return model.decoder, 1
    if isinstance(model, BEiT):
        return model.encoder, 1
    if isinstance(model, Autoregressive):
        return model.decoder, 0
    raise ValueError(
        f"model: {model.name} has no attention to look at; expected a MAE-VQGAN, MAE, BEiT or "
        "autoregressive model"
    )


def _rows(parts: Sequence[Float[Tensor, "1 heads _ _"]], count: int) -> Tensor:
    """Put the maps of one layer together: (heads, queries, 1 + places).

    One call gives all of a map; or, where a sequence is continued, each call the rows of its new
    tokens.
    """
    rows = torch.zeros(parts[0].shape[1], count + 1, count + 1)
    for part in parts:
        queries, keys = part.shape[2:]
        rows[:, keys - queries : keys, :keys] = part[0].float().cpu()
    return rows
