"""The outline head: where things of a picture end, told by all of the encoder's levels.

A gradient is seen by the first level alone; that something else begins there, by the deeper ones.
The projections of all levels are added up on the fine grid, so that each of them can call for a
line or against it, and the picture's own pixels say where exactly it runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.models.configs import Config, Size
from vicl.models.matching.view import FINE
from vicl.models.pretrained import Pretrained


class OutlineConfig(Config):
    """The outline head.

    Attributes:
        encoder: Whose features it was trained on, as :func:`vicl.load_encoder` takes it.
        channels: Of the encoder's levels.
        mixed: Channels on the fine grid, where the levels are added up.
        finest: Channels on the picture's.
    """

    encoder: str = "efficientnet-lite2"
    channels: tuple[Size, ...] = Field(default=(24, 48, 88, 120, 208), min_length=1, max_length=16)
    mixed: Size = 32
    finest: Size = 16

    @property
    def width(self) -> int:
        """See :attr:`vicl.models.configs.Config.width`."""
        return self.mixed


class OutlineHead(Pretrained):
    """See the module."""

    kind = "outline-head"
    config_class = OutlineConfig
    config: OutlineConfig

    def __init__(self, config: OutlineConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or OutlineConfig()
        self.name, self.weights_hash = self.kind, None
        mixed = config.mixed
        self.enter = nn.ModuleList(nn.Conv2d(c, mixed, 1, bias=False) for c in config.channels)
        self.shift = nn.Parameter(torch.zeros(mixed))
        self.mix = nn.Conv2d(mixed, mixed, 3, padding=1)
        self.details = nn.Conv2d(3, mixed, 3, padding=1)
        self.finest = nn.Conv2d(mixed, config.finest, 3, padding=1)
        self.outline = nn.Conv2d(config.finest, 1, 1)

    def forward(
        self, levels: Sequence[Float[Tensor, "b _c _h _w"]], picture: Float[Tensor, "b 3 p p"]
    ) -> Float[Tensor, "b p p"]:
        """Log-odds of a line at each place of the picture, where lines are a third of the places.

        Args:
            levels: Of the encoder.
            picture: RGB in [0, 1].
        """
        added = self.shift[:, None, None]
        for project, level in zip(self.enter, levels, strict=True):
            scale = (level.square().mean((1, 2, 3), keepdim=True) + 1e-6).sqrt()
            added = added + F.interpolate(
                project(level / scale), size=(FINE, FINE), mode="bilinear", align_corners=False
            )
        values = self.mix(F.relu(added))
        values = F.interpolate(values, picture.shape[2:], mode="bilinear", align_corners=False)
        values = F.relu(values + self.details(picture - 0.5))
        outline: Tensor = self.outline(F.relu(self.finest(values)))
        return outline[:, 0]
