"""The default segmenter as two graphs: an image once, then clicks and a box to masks.

The closer look at what a box is around is no third graph: it is these two, asked of a part of the
image (:mod:`vicl.graphs.runner`).
"""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vicl.graphs.matching import look
from vicl.graphs.pixels import shrunk
from vicl.graphs.walks import ahead
from vicl.models.matching.view import FINE, MIDDLE, SIDE
from vicl.models.promptable.borders import likely
from vicl.models.promptable.guidance import COMPARED, NEAR, Guide, spots
from vicl.models.promptable.network import Neck
from vicl.segmenters.promptable import BOUND, WALKED, Promptable, grown, keep, within

NECK: Final = ("coarse", "middle", "fine", "picture", *COMPARED, "outline")
"""What the encoder gives and the decoder takes."""

ASKED: Final = ("points", "labels", "box", "earlier")
"""What the decoder takes besides: see :class:`vicl.models.promptable.guidance.Guide`."""


class EncoderGraph(nn.Module):
    """An image to what all its prompts share: :data:`NECK`."""

    def __init__(self, segmenter: Promptable) -> None:
        super().__init__()
        assert isinstance(segmenter.encoder, nn.Module)
        self.encoder, self.net = segmenter.encoder, segmenter.net
        self.outlines = segmenter.outlines

    def forward(self, image: Float[Tensor, "1 3 h w"]) -> tuple[Tensor, ...]:
        """Encode an RGB image in [0, 1], of any size."""
        view = look(shrunk(image, (SIDE, SIDE)), self.encoder)
        neck, outline = keep(view, self.net, self.outlines)
        return (*neck[:4], *(neck.compared[name] for name in COMPARED), outline)


class DecoderGraph(nn.Module):
    """Clicks, a box or an earlier mask to three masks, each with the IoU it is expected to have."""

    def __init__(self, segmenter: Promptable) -> None:
        super().__init__()
        self.net, self.sees_outlines = segmenter.net, segmenter.outlines is not None

    def forward(
        self,
        coarse: Tensor,
        middle: Tensor,
        fine: Tensor,
        picture: Tensor,
        texture: Tensor,
        objects: Tensor,
        things: Tensor,
        key: Tensor,
        outline: Float[Tensor, "1 f f"],
        points: Float[Tensor, "1 k 2"],
        labels: Int[Tensor, "1 k"],
        box: Float[Tensor, "1 4"],
        earlier: Float[Tensor, "1 f f"],
    ) -> tuple[Tensor, Tensor]:
        """Log-odds (3, 192, 192), and IoUs (3,); best is the mask of the highest."""
        compared = dict(zip(COMPARED, (texture, objects, things, key), strict=True))
        guide = Guide(points, labels, box, earlier)
        masks, ious = self.net(Neck(coarse, middle, fine, picture, compared), guide)
        odds, side = masks[0], masks.shape[-1]
        boxed = box[0, 2] > box[0, 0]
        # See Promptable: where anything is told to be out, walks count; clicks are obeyed.
        near = grown(ahead(guide, picture, outline), side)
        odds = torch.where(boxed | (labels == 0).any(), odds + WALKED * near, odds)
        clicked = spots(guide, 1, NEAR / MIDDLE, FINE) - spots(guide, 0, NEAR / MIDDLE, FINE)
        odds = odds.clamp(-BOUND, BOUND) + 2 * BOUND * grown(clicked, side)
        odds = odds.clamp(-BOUND, BOUND)
        odds = torch.where(boxed, within(odds, box[0]), odds)
        return odds, likely(ious[0], odds, outline) if self.sees_outlines else ious[0]
