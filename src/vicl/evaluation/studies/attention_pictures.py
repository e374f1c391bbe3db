"""Attention drawn over canvases: of the whole hole, of one of its tokens, and head by head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vicl.canvas.layout import Canvas
from vicl.evaluation.studies.hole_attention import HoleAttention
from vicl.exports.sheets import contact_sheet
from vicl.models.tokens import token_pixels

_LOOKED_AT = torch.tensor([0.85, 0.0, 0.1])
_HOLE = torch.tensor([0.1, 0.3, 0.9])
_FADED = 0.65
"""How far a canvas is brought towards white before something is drawn over it."""
_SIDE = 224
"""Canvases are enlarged, by whole factors, to no less than half of this many pixels."""


class Looked(NamedTuple):
    """One canvas, and where its hole looked.

    Attributes:
        label: Stands beside its pictures.
        canvas: As it was shown.
        attention: Of the hole.
        patch_size: Of the model, in pixels.
    """

    label: str
    canvas: Canvas
    attention: HoleAttention
    patch_size: int


def draw_weights(
    looked: Looked, weights: Float[Tensor, " n"], *, token: int | None = None
) -> Float[Tensor, "3 h w"]:
    """Draw weights over a canvas: the redder a patch, the more it was looked at.

    Args:
        looked: Whose canvas; it is shown pale, with a blue frame around the hole.
        weights: One a patch, in raster order; the largest is drawn full red.
        token: Of the hole's tokens, from 0, the one to frame instead of the hole.

    Returns:
        RGB in [0, 1], the canvas enlarged by a whole factor.
    """
    image, hole = looked.canvas.image, looked.canvas.hole
    height, width = hole.shape
    patch = looked.patch_size
    scale = max(1, round(_SIDE / max(height, width)))
    share = token_pixels(weights[None], (height // patch, width // patch), patch)
    strength = share / share.max().clamp(min=1e-12)  # (1, H, W)
    drawn = torch.lerp(image, torch.ones_like(image), _FADED)
    drawn = torch.lerp(drawn, _LOOKED_AT[:, None, None].expand_as(drawn), strength.expand_as(drawn))
    if token is not None:
        one = torch.zeros(1, len(weights), dtype=torch.bool)
        one[0, looked.attention.places[token]] = True
        hole = token_pixels(one, (height // patch, width // patch), patch)[0]
    return _framed(*(_enlarged(values, scale) for values in (drawn, hole)))


def attention_sheet(several: Sequence[Looked]) -> Image.Image:
    """Draw where holes looked, averaged over heads and layers.

    Args:
        several: A row each: the canvas as it was shown and as it was filled; where all tokens of
            the hole looked, averaged; and where the one in its middle did.
    """
    rows, captions = [], []
    for looked in several:
        attention = looked.attention
        weights = attention.weights.mean(dim=(0, 1))[:, 1:]  # (m, n)
        middle = _middle(looked)
        whole, one = weights.mean(dim=0), weights[middle]
        rows.append(
            [
                looked.canvas.image,
                attention.filled,
                draw_weights(looked, whole),
                draw_weights(looked, one, token=middle),
            ]
        )
        captions.append([None, None, _most(whole), _most(one)])
    return contact_sheet(
        rows,
        headers=("shown", "filled", "the hole's attention", "one token's"),
        labels=[looked.label for looked in several],
        captions=captions,
        cell=224,
    )


def heads_sheet(looked: Looked) -> Image.Image:
    """Draw where one hole looked: a row each layer, a column each head, the means last."""
    weights = looked.attention.weights[..., 1:].mean(dim=2)  # (layers, heads, n)
    weights = torch.cat([weights, weights.mean(dim=1, keepdim=True)], dim=1)
    weights = torch.cat([weights, weights.mean(dim=0, keepdim=True)], dim=0)
    layers, heads = (side - 1 for side in weights.shape[:2])
    return contact_sheet(
        [[draw_weights(looked, one) for one in layer] for layer in weights],
        headers=[*(f"head {number}" for number in range(1, heads + 1)), "mean"],
        labels=[*(f"layer {number}" for number in range(1, layers + 1)), "mean"],
        captions=[[_most(one) for one in layer] for layer in weights],
        cell=112,
    )


def _most(weights: Float[Tensor, " n"]) -> str:
    """How much full red stands for."""
    return f"full red: {float(weights.max()):.1%}"


def _middle(looked: Looked) -> int:
    """Which of the hole's tokens, from 0, is nearest to its middle."""
    columns = looked.canvas.hole.shape[1] // looked.patch_size
    places = looked.attention.places
    points = torch.stack([places // columns, places % columns], dim=1).float()
    return int((points - points.mean(dim=0)).square().sum(dim=1).argmin())


def _enlarged(values: Tensor, scale: int) -> Tensor:
    return values.repeat_interleave(scale, dim=-2).repeat_interleave(scale, dim=-1)


def _framed(image: Float[Tensor, "3 h w"], inside: Tensor) -> Float[Tensor, "3 h w"]:
    """Draw a frame of two pixels along the inner border of where `inside` is True."""
    area = inside.float()[None, None]
    # Within two pixels of the outside; beyond the canvas is outside too.
    outside = torch.nn.functional.max_pool2d(
        torch.nn.functional.pad(1 - area, (2, 2, 2, 2), value=1.0), 5, stride=1
    )
    frame = inside & (outside[0, 0] > 0)
    return torch.where(frame, _HOLE[:, None, None], image)
