"""The network: features of an image once, then for every prompt three masks and how good they are.

A neck fuses the encoder's levels from coarse to fine, once an image. A small U-Net reads them
beside the guidance of a prompt (:mod:`vicl.models.promptable.guidance`) and answers with several
masks, since one point may mean a sleeve, a shirt or a person.

Source of the task, of several candidates and of their predicted IoU: Kirillov et al., "Segment
Anything", ICCV 2023, section 3.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.models.configs import Config, Size
from vicl.models.matching.view import COARSE, FINE, MIDDLE
from vicl.models.pretrained import Pretrained
from vicl.models.promptable.guidance import FINE_GUIDES, GUIDES, Guide, draw

_GROUPS = 8


class PromptableConfig(Config):
    """A promptable network.

    Attributes:
        encoder: Whose features it was trained on, as :func:`vicl.load_encoder` takes it.
        channels: Of the encoder's levels, finest first.
        coarse: Channels on the coarse grid.
        middle: On the middle grid.
        fine: On the fine grid.
        finest: On the picture's.
        key: Of what points are compared by.
        masks: Candidates.
    """

    encoder: str = "efficientnet-lite2"
    channels: tuple[Size, Size, Size, Size, Size] = (24, 48, 88, 120, 208)
    coarse: Size = 96
    middle: Size = 64
    fine: Size = 32
    finest: Size = 16
    key: Size = 32
    masks: Size = 3

    @property
    def width(self) -> int:
        """See :attr:`vicl.models.configs.Config.width`."""
        return max(self.coarse, self.middle, self.fine)


class Neck(NamedTuple):
    """What is kept of an image for all its prompts.

    Attributes:
        coarse: Features on the coarse grid.
        middle: On the middle grid.
        fine: On the fine grid.
        picture: RGB in [0, 1].
        compared: Of each of :data:`vicl.models.promptable.guidance.COMPARED`, of length 1.
    """

    coarse: Float[Tensor, "b _c k k"]
    middle: Float[Tensor, "b _d m m"]
    fine: Float[Tensor, "b _e f f"]
    picture: Float[Tensor, "b 3 p p"]
    compared: dict[str, Float[Tensor, "b _c _h _w"]]


class Odds(NamedTuple):
    """What a prompt may mean.

    Attributes:
        masks: Log-odds of being in, on the picture's grid.
        ious: The IoU that each is expected to have.
    """

    masks: Float[Tensor, "b n p p"]
    ious: Float[Tensor, "b n"]


class PromptableNet(Pretrained):
    """See the module."""

    kind = "promptable"
    config_class = PromptableConfig
    config: PromptableConfig

    def __init__(self, config: PromptableConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PromptableConfig()
        self.name, self.weights_hash = self.kind, None
        edges, texture, parts, objects, things = config.channels
        self.enter_coarse = _convs(parts + objects + things, config.coarse, side=1)
        self.enter_middle = _convs(config.coarse + texture, config.middle)
        self.enter_fine = _convs(config.middle + edges + 3, config.fine)
        self.key = nn.Conv2d(config.middle, config.key, 1)
        guided = config.middle + len(GUIDES)
        self.enter = _convs(guided, config.middle)
        self.down = _convs(config.middle + config.coarse, config.coarse)
        self.whole = nn.Linear(config.coarse, config.coarse)
        self.deep = _convs(config.coarse, config.coarse)
        self.up = _convs(config.coarse + config.middle, config.middle)
        self.fine = _convs(config.middle + config.fine + len(FINE_GUIDES), config.fine)
        self.coarse_masks = nn.Conv2d(config.fine, config.masks, 1)
        self.finest = _convs(config.fine + config.masks + 3, config.finest)
        self.masks = nn.Conv2d(config.finest, config.masks, 1)
        self.ious = nn.Sequential(
            nn.Linear(config.coarse + 4 * config.masks, 64), nn.ReLU(), nn.Linear(64, config.masks)
        )

    def encode(
        self, levels: tuple[Float[Tensor, "b _c _h _w"], ...], picture: Float[Tensor, "b 3 p p"]
    ) -> Neck:
        """What all prompts of an image share.

        Args:
            levels: Of the encoder, finest first.
            picture: RGB in [0, 1].
        """
        edges, texture, parts, objects, things = (_even(level) for level in levels)
        things = _grown(things, COARSE)
        coarse = self.enter_coarse(torch.cat([parts, objects, things], 1))
        middle = self.enter_middle(torch.cat([_grown(coarse, MIDDLE), texture], 1))
        small = F.interpolate(picture, (FINE, FINE), mode="area") - 0.5
        fine = self.enter_fine(torch.cat([_grown(middle, FINE), edges, small], 1))
        compared = {
            "texture": F.normalize(texture, dim=1),
            "objects": F.normalize(objects, dim=1),
            "things": F.normalize(things, dim=1),
            "key": F.normalize(self.key(middle), dim=1),
        }
        return Neck(coarse, middle, fine, picture, compared)

    def forward(self, neck: Neck, guide: Guide) -> Odds:
        """Answer a prompt for each image."""
        guides, fine_guides = draw(guide, neck.compared)
        entered = self.enter(torch.cat([neck.middle, guides], 1))
        values = self.down(torch.cat([F.max_pool2d(entered, MIDDLE // COARSE), neck.coarse], 1))
        whole = values.mean((2, 3))
        values = self.deep(values + self.whole(whole)[:, :, None, None])
        seen = values.amax((2, 3))
        values = self.up(torch.cat([_grown(values, MIDDLE), entered], 1))
        values = self.fine(torch.cat([_grown(values, FINE), neck.fine, fine_guides], 1))
        coarse = self.coarse_masks(values)
        grown = _grown(torch.cat([values, coarse], 1), neck.picture.shape[-1])
        finest = self.finest(torch.cat([grown, neck.picture - 0.5], 1))
        masks = grown[:, -self.config.masks :] + self.masks(finest)
        return Odds(masks, self._expected(masks, seen))

    def _expected(
        self, masks: Float[Tensor, "b n p p"], seen: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b n"]:
        """The IoU of each, from how sure it is of itself, and from the deepest features."""
        chance = torch.sigmoid(masks.detach())
        inside = (chance > 0.5).float()
        area = inside.mean((2, 3))
        sure = (chance * inside).mean((2, 3)) / area.clamp(min=1e-4)
        soft = (chance * inside).mean((2, 3)) / (area + (chance * (1 - inside)).mean((2, 3))).clamp(
            min=1e-4
        )
        told = torch.cat([area.clamp(min=1e-4).log() / 4, sure, soft, chance.amax((2, 3))], 1)
        return torch.sigmoid(self.ious(torch.cat([seen, told], 1)))


def _even(level: Tensor) -> Tensor:
    """Levels differ in scale by image and by encoder; the network reads their pattern."""
    return level / (level.square().mean((1, 2, 3), keepdim=True) + 1e-6).sqrt()


def _grown(values: Tensor, side: int) -> Tensor:
    return F.interpolate(values, (side, side), mode="bilinear", align_corners=False)


def _convs(inputs: int, outputs: int, *, side: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False),
        nn.GroupNorm(_GROUPS, outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.GroupNorm(_GROUPS, outputs),
        nn.ReLU(),
    )
