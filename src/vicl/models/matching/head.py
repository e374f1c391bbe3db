"""The head: from the cues of a query to its mask, guided by the query's own edges.

A U-Net over the middle grid, then two steps up to the grid of the picture. What it sees of the
query itself is no more than colours and the encoder's edges, so that it learns how matches make a
mask, and no class. Whether the thing is there at all is asked last, of the cues where the mask is:
something of the query always matches best, but what is the thing matches well.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field, PositiveFloat
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.models.configs import Config, Size
from vicl.models.matching.cues import CUES, FINE_CUES, TELLING
from vicl.models.pretrained import Pretrained

_GROUPS = 8


class HeadConfig(Config):
    """The head of the matching engine.

    Attributes:
        encoder: Whose features it was trained on, as :func:`vicl.load_encoder` takes it.
        cues: Maps on the middle grid.
        fine_cues: Maps on the fine grid.
        details: Channels of the encoder's edges.
        widths: Channels on the middle grid, and at each halving.
        fine: Channels on the fine grid.
        finest: Channels on the picture's.
        temperature: The mask's log-odds are divided by it before they become chances: fitted on
            held-out episodes, it changes no mask.
    """

    encoder: str = "efficientnet-lite2"
    cues: Size = len(CUES)
    fine_cues: Size = len(FINE_CUES)
    details: Size = 24
    widths: tuple[Size, ...] = Field(default=(48, 64, 96), min_length=2, max_length=4)
    fine: Size = 24
    finest: Size = 8
    temperature: PositiveFloat = 1.0

    @property
    def width(self) -> int:
        """See :attr:`vicl.models.configs.Config.width`."""
        return max(self.widths)


class Scored(NamedTuple):
    """What the head says.

    Attributes:
        mask: Log-odds of being of the thing, on the picture's grid.
        presence: Log-odds that the thing is there at all; they mean nothing for small things, which
            the deeper levels do not see.
        depth: On the fine grid: how deep inside its own object a place lies, from 0 at the
            border to 1.
    """

    mask: Float[Tensor, "b p p"]
    presence: Float[Tensor, " b"]
    depth: Float[Tensor, "b f f"]


class MatchingHead(Pretrained):
    """See the module."""

    kind = "matching-head"
    config_class = HeadConfig
    config: HeadConfig

    def __init__(self, config: HeadConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or HeadConfig()
        self.name, self.weights_hash = self.kind, None
        first, *rest = config.widths
        self.enter = _convs(config.cues, first)
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        before = first
        for width in rest:
            self.down.append(_convs(before, width))
            self.up.insert(0, _convs(width + before, before))
            before = width
        self.whole = nn.Linear(before, before)
        self.is_there = nn.Linear(len(TELLING), 1)
        beside = config.fine_cues + config.details + 3
        self.fine = _convs(first + beside, config.fine)
        self.depth = nn.Conv2d(config.fine, 1, 1)
        self.coarse_mask = nn.Conv2d(config.fine, 1, 1)
        self.finest = _convs(config.fine + 4, config.finest)
        self.mask = nn.Conv2d(config.finest, 1, 1)

    def forward(
        self,
        cues: Float[Tensor, "b c m m"],
        fine: Float[Tensor, "b d f f"],
        details: Float[Tensor, "b e f f"],
        picture: Float[Tensor, "b 3 p p"],
    ) -> Scored:
        """Score queries.

        Args:
            cues: See :data:`vicl.models.matching.cues.CUES`.
            fine: See :data:`vicl.models.matching.cues.FINE_CUES`.
            details: The encoder's first level.
            picture: RGB in [0, 1].
        """
        # The quicker layout of memory.
        cues, fine, details, picture = (
            part.contiguous(memory_format=torch.channels_last)
            for part in (cues, fine, details, picture)
        )
        values = self.enter(cues)
        beside = []
        for block in self.down:
            beside.append(values)
            values = block(F.max_pool2d(values, 2))
        values = values + self.whole(values.mean((2, 3)))[:, :, None, None]
        for block in self.up:
            values = block(torch.cat([_twice(values), beside.pop()], 1))
        small = F.avg_pool2d(picture, 2) - 0.5
        details = details / (details.square().mean((1, 2, 3), keepdim=True) + 1e-6).sqrt()
        values = self.fine(torch.cat([_twice(values), fine, details, small], 1))
        coarse = self.coarse_mask(values)
        picture = picture - 0.5
        finest = self.finest(torch.cat([_twice(values), _twice(coarse), picture], 1))
        mask = (_twice(coarse) + self.mask(finest))[:, 0]
        return Scored(mask, self._presence(mask, cues), torch.sigmoid(self.depth(values)[:, 0]))

    def _presence(
        self, mask: Float[Tensor, "b p p"], cues: Float[Tensor, "b c m m"]
    ) -> Float[Tensor, " b"]:
        """From how like the thing is what the mask covers; the mask is not bent for it.

        Of a few likenesses alone, linearly: told more, it learns what is absent from the pictures
        of the training, and knows less of others.
        """
        chance = torch.sigmoid(F.adaptive_avg_pool2d(mask.detach(), cues.shape[-1]))[:, None]
        inside = (chance * cues[:, TELLING]).mean((2, 3)) / chance.mean((2, 3)).clamp(min=1e-6)
        told: Tensor = self.is_there(inside)
        return told[:, 0]


def _twice(values: Tensor) -> Tensor:
    return F.interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)


def _convs(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.GroupNorm(_GROUPS, outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.GroupNorm(_GROUPS, outputs),
        nn.ReLU(),
    )
