"""Our own segmenter: a frozen encoder and a small network, which answer together.

An image is stretched to a square and encoded once, as the engine `matching` looks at it; what is
drawn at that size is brought to the image's own along its edges.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Final, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from vicl.engine import Candidates, Encoder, MaskPrompt
from vicl.images import ImageLike, as_floats, to_levels
from vicl.images.upsampling import LARGE, upsample
from vicl.models.matching.view import SIDE, look_at_square
from vicl.models.promptable import PromptableNet
from vicl.models.promptable.asked import guide_of
from vicl.models.promptable.guidance import Guide
from vicl.models.promptable.network import Neck
from vicl.segmenters.encoded import EncodedImage

Levels: TypeAlias = UInt8[np.ndarray, "h w 3"]

_BOUND: Final = 8.0
"""Log-odds are kept within it before they are enlarged."""

_OFFSET: Final = 1.0
"""By how much log-odds are moved for the stability of a mask."""

_MARGIN: Final = 0.08
"""By which a box may have been drawn too small, as a share of its sides."""


class Promptable:
    """Clicks, a box, scribbles or a coarse mask to masks.

    Args:
        encoder: What encodes; the network was trained on its features.
        net: Trained.
    """

    accepts = frozenset({"points", "box", "scribbles", "mask"})

    def __init__(self, encoder: Encoder, net: PromptableNet) -> None:
        self.encoder, self.net, self.name = encoder, net.eval(), net.name

    def __repr__(self) -> str:
        return f"Promptable({self.name!r}, encoder={self.encoder.name!r})"

    @cached_property
    def weights_hash(self) -> str | None:
        """Of the encoder's and the network's together."""
        both = f"{self.encoder.weights_hash} {self.net.weights_hash}"
        return hashlib.sha256(both.encode()).hexdigest()

    @torch.no_grad()
    def encode(self, image: ImageLike) -> EncodedImage:
        """See :meth:`vicl.engine.Segmenter.encode`; keeps the image in 8 bits a channel."""
        levels = to_levels(image)
        square = Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        pixels = as_floats(np.array(square)).to(self._device)
        view = look_at_square(pixels, self.encoder)
        neck = self.net.encode(tuple(level[None] for level in view.levels), view.picture[None])
        size = (levels.shape[0], levels.shape[1])
        return EncodedImage(
            size,
            self.accepts,
            partial(self._answer, neck, levels),
            partial(self._sketch, neck, size),
        )

    @property
    def _device(self) -> torch.device:
        return self.net.masks.weight.device

    def _answer(self, neck: Neck, image: Levels, prompts: Sequence[MaskPrompt]) -> list[Candidates]:
        picture = neck.picture[0].cpu()
        return [
            replace(found, masks=_enlarged(odds, image, picture))
            for odds, found in self._found(neck, (image.shape[0], image.shape[1]), prompts)
        ]

    def _sketch(
        self, neck: Neck, size: tuple[int, int], prompts: Sequence[MaskPrompt]
    ) -> list[Candidates]:
        return [found for _, found in self._found(neck, size, prompts)]

    @torch.no_grad()
    def _found(
        self, neck: Neck, size: tuple[int, int], prompts: Sequence[MaskPrompt]
    ) -> list[tuple[Float[Tensor, "n p p"], Candidates]]:
        """Log-odds, best first, and the masks as the network draws them."""
        answers = []
        # One by one: a network of this size gains nothing by batches on a processor, and so each
        # prompt gets to the last bit what it would get alone.
        for prompt in prompts:
            guide = guide_of(prompt, size)
            asked = Guide(*(part.to(self._device) for part in vars(guide).values()))
            masks, ious = self.net(neck, asked)
            order = ious[0].argsort(descending=True, stable=True)
            odds, scores = masks[0][order].cpu(), ious[0][order].cpu()
            if prompt.box is not None:
                odds = _within(odds, guide.box[0])
            wide, narrow = ((odds > offset).sum((1, 2)) for offset in (-_OFFSET, _OFFSET))
            stability = narrow / wide.clamp(min=1)
            found = Candidates((odds > 0).numpy(), scores.numpy(), stability.numpy())
            answers.append((odds, found))
        return answers


def _within(odds: Float[Tensor, "n p p"], box: Float[Tensor, " 4"]) -> Float[Tensor, "n p p"]:
    """Nothing of what is meant lies far outside its box.

    Args:
        odds: Of the masks.
        box: In shares of the image.
    """
    margin = _MARGIN * (box[2:] - box[:2])
    low, high = box[:2] - margin, box[2:] + margin
    axis = (torch.arange(odds.shape[-1]) + 0.5) / odds.shape[-1]
    across, down = ((axis >= low[i]) & (axis <= high[i]) for i in (0, 1))
    return torch.where(down[:, None] & across, odds, -_BOUND)


def _enlarged(
    odds: Float[Tensor, "n p p"], image: Levels, picture: Float[Tensor, "3 p p"]
) -> Bool[np.ndarray, "n h w"]:
    """The masks at the image's own size, along its edges."""
    size = (image.shape[0], image.shape[1])
    # Of a large image one after the other: floats of one mask alone are held at full size.
    at_once = len(odds) if math.prod(size) <= LARGE else 1
    masks = [
        (upsample(some, size, guide=image, coarse=picture) > 0).numpy()
        for some in torch.split(odds.clamp(-_BOUND, _BOUND), at_once)
    ]
    return np.concatenate(masks)
