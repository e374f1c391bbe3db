"""What the heads of a masked autoencoder give, told apart, recorded and put in their places.

A head's slice (b, n, c) passes :attr:`vicl.models.vit.Attention.heads` before the output
projection, which is linear: its contribution to the residual stream is the slice through its part
of the projection. So to set a slice to the mean of recorded ones is what the published code does by
taking the head's contribution out and adding the mean contribution; there the projection's bias is
counted with each contribution and taken off again. Slices are `num_heads` times smaller.

Source: Hojel, Bai, Darrell, Globerson and Bar 2024, arXiv:2404.05729, section 3, and the published
code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vicl.models.masked_autoencoder import MaskedAutoencoder
from vicl.models.vit import Attention, Block, Probe, Transformer, watching

Slices = Float[Tensor, "_l _h _n _c"]
"""Of all layers and heads of a transformer, at the class token and then at places."""
Chosen = Bool[Tensor, "_l ... _n"]
"""Of which layer, (canvas,) head and token the slice is replaced."""


def contributions(
    attention: Attention, slices: Float[Tensor, "b h n c"]
) -> Float[Tensor, "b n h d"]:
    """What each head adds to the residual stream, each with the whole bias, as published."""
    parts = attention.proj.weight.view(-1, slices.shape[1], slices.shape[3])  # (d, h, c)
    return torch.einsum("bhnc,dhc->bnhd", slices, parts) + attention.proj.bias


def probes(transformer: Transformer) -> list[Probe]:
    """Where the heads' slices pass, a layer each."""
    return [block.attn.heads for block in transformer.blocks if isinstance(block, Block)]


@contextmanager
def recording(model: MaskedAutoencoder) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Collect slices (b, h, n, c) of the encoder's and the decoder's layers, in their order."""
    seen: tuple[list[Tensor], list[Tensor]] = ([], [])
    with ExitStack() as stack:
        for transformer, into in zip((model.encoder, model.decoder), seen, strict=True):
            look: Callable[[Tensor], None] = partial(_keep, into)
            stack.enter_context(watching(probes(transformer), look))
        yield seen


def _keep(into: list[Tensor], slices: Tensor) -> None:
    into.append(slices.detach())


@contextmanager
def patching(
    model: MaskedAutoencoder, slices: Sequence[Slices], chosen: Sequence[Chosen]
) -> Iterator[None]:
    """Put slices in place of what heads give.

    Args:
        model: What is asked in the block.
        slices: Of the encoder and of the decoder; as many tokens as will pass.
        chosen: Which are put there; for each canvas of a batch others, if there is a dimension of
            canvases.
    """
    with ExitStack() as stack:
        for transformer, values, where in zip(
            (model.encoder, model.decoder), slices, chosen, strict=True
        ):
            for layer, probe in enumerate(probes(transformer)):
                if bool(where[layer].any()):
                    put = partial(_put, values[layer], where[layer][..., None])
                    stack.enter_context(watching([probe], put))
        yield


def _put(values: Tensor, where: Tensor, slices: Tensor) -> Tensor:
    return torch.where(where, values.to(slices), slices)
