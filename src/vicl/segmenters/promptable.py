"""Our own segmenter: a frozen encoder and a small network, which answer together.

An image is stretched to a square and encoded once, as the engine `matching` looks at it; what is
drawn at that size is brought to the image's own along its edges.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Final

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from vicl.engine import Candidates, Encoder, MaskPrompt
from vicl.images import ImageLike, as_floats, to_levels
from vicl.images.upsampling import LARGE, upsample
from vicl.models.matching.view import SIDE, see
from vicl.models.promptable import PromptableNet
from vicl.models.promptable.asked import guide_of
from vicl.models.promptable.guidance import Guide
from vicl.models.promptable.network import Neck
from vicl.segmenters.encoded import EncodedImage

_BOUND: Final = 8.0
"""Log-odds are kept within it before they are enlarged."""

_OFFSET: Final = 1.0
"""By how much log-odds are moved for the stability of a mask."""


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
        view = see(self.encoder.encode(pixels[None]).levels, pixels)
        neck = self.net.encode(tuple(level[None] for level in view.levels), view.picture[None])
        return EncodedImage(levels.shape[:2], self.accepts, partial(self._answer, neck, levels))

    @property
    def _device(self) -> torch.device:
        return self.net.masks.weight.device

    @torch.no_grad()
    def _answer(
        self, neck: Neck, image: UInt8[np.ndarray, "h w 3"], prompts: Sequence[MaskPrompt]
    ) -> list[Candidates]:
        size = (image.shape[0], image.shape[1])
        # One by one: a network of this size gains nothing by batches on a processor, and so each
        # prompt gets to the last bit what it would get alone.
        return [self._drawn(neck, image, guide_of(prompt, size)) for prompt in prompts]

    def _drawn(self, neck: Neck, image: UInt8[np.ndarray, "h w 3"], guide: Guide) -> Candidates:
        place, picture = self._device, neck.picture[0].cpu()
        found = self.net(neck, Guide(*(part.to(place) for part in vars(guide).values())))
        order = found.ious[0].argsort(descending=True, stable=True)
        odds = found.masks[0][order].clamp(-_BOUND, _BOUND)
        wide, narrow = ((odds > offset).sum((1, 2)) for offset in (-_OFFSET, _OFFSET))
        # Of a large image one after the other: floats of one mask alone are held at full size.
        at_once = len(odds) if math.prod(image.shape[:2]) <= LARGE else 1
        masks = [
            (upsample(some, image.shape[:2], guide=image, coarse=picture) > 0).numpy()
            for some in odds.cpu().split(at_once)
        ]
        return Candidates(
            np.concatenate(masks),
            found.ious[0][order].cpu().numpy(),
            (narrow / wide.clamp(min=1)).cpu().numpy(),
        )
