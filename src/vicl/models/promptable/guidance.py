"""Guidance: what points, a box and an earlier mask say, as maps beside the features of an image.

Where the prompt lies is drawn; and what lies there is compared with every other place, by cosines
at several levels, so that the network need not learn to carry features from a click to the rest of
a thing. Like the cues of the engine `matching` these are free of classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.models.matching.view import FINE, MIDDLE

COMPARED: Final = ("texture", "objects", "things", "key")
"""Levels at which a prompt is compared with all places: three of the encoder's, one learned."""

NEAR, _FAR = 0.7, 4.0
"""Sigmas around a point, in places of the middle grid: where it is, and whereabouts."""

GUIDES: Final = (
    *(f"{level} {kind}" for level in COMPARED for kind in ("in", "out", "box", "earlier")),
    *("in near", "in far", "out near", "box", "boxed", "earlier mask", "corrected"),
)
"""Maps on the middle grid."""

FINE_GUIDES: Final = ("in near", "out near", "box", "earlier mask")
"""Maps on the fine grid."""


@dataclass(frozen=True, eq=False)
class Guide:
    """Prompts, a batch or one, in shares of the image, however many points each has.

    Attributes:
        points: (b, k, 2): x and y, in [0, 1].
        labels: (b, k): 1 = in, 0 = out, -1 = no point.
        box: (b, 4): x0, y0, x1, y1 in [0, 1]; all -1 = none.
        earlier: (b, f, f): chance of being in, on the fine grid; all -1 = none.
    """

    points: Float[Tensor, "*b k 2"]
    labels: Int[Tensor, "*b k"]
    box: Float[Tensor, "*b 4"]
    earlier: Float[Tensor, "*b f f"]


def draw(
    guide: Guide, levels: Mapping[str, Float[Tensor, "b _c _h _w"]]
) -> tuple[Float[Tensor, "b g m m"], Float[Tensor, "b h f f"]]:
    """The maps of :data:`GUIDES` and of :data:`FINE_GUIDES`.

    Args:
        guide: The prompts.
        levels: Of :data:`COMPARED`, features of length 1 a place.
    """
    boxed = (guide.box[:, 2] > guide.box[:, 0]).float()
    corrected = (guide.earlier[:, 0, 0] >= 0).float()
    earlier = guide.earlier.clamp(min=0)
    box = drawn_box(guide.box, FINE)
    middle = F.avg_pool2d(torch.stack([box, earlier], 1), FINE // MIDDLE)
    maps: list[Tensor] = []
    for name in COMPARED:
        found = _compared(levels[name], guide, middle)
        if found.shape[-1] != MIDDLE:
            found = F.interpolate(found, (MIDDLE, MIDDLE), mode="bilinear", align_corners=False)
        maps.append(found)
    near = [spots(guide, label, NEAR / MIDDLE, MIDDLE) for label in (1, 0)]
    far = spots(guide, 1, _FAR / MIDDLE, MIDDLE)
    flat = torch.ones_like(far)
    drawn = [near[0], far, near[1], middle[:, 0], flat * boxed[:, None, None]]
    drawn += [middle[:, 1], flat * corrected[:, None, None]]
    fine = [spots(guide, label, NEAR / MIDDLE, FINE) for label in (1, 0)]
    return torch.cat([*maps, torch.stack(drawn, 1)], 1), torch.stack([*fine, box, earlier], 1)


def _compared(
    level: Float[Tensor, "b c h w"], guide: Guide, middle: Float[Tensor, "b 2 m m"]
) -> Float[Tensor, "b 4 h w"]:
    """Cosine of every place to the nearest point in, to the nearest out, to box and to mask."""
    side = level.shape[-1]
    rows = level.flatten(2)
    at = F.grid_sample(
        level, 2 * guide.points[:, :, None] - 1, mode="bilinear", align_corners=False
    )
    likeness = F.normalize(at[..., 0], dim=1).transpose(1, 2) @ rows
    found = []
    for label in (1, 0):
        told = (guide.labels == label)[..., None]
        best = torch.where(told, likeness, -1.0).amax(1)
        found.append(torch.where(told.any(1), best, 0.0))
    # Of a box its middle counts most: its corners show what is behind the thing.
    weights = F.interpolate(middle, (side, side), mode="area").flatten(2)
    weights = torch.cat([weights[:, :1] * bump_in(guide.box, side), weights[:, 1:]], 1)
    mean = F.normalize(weights @ rows.transpose(1, 2), dim=2)
    found += list((mean @ rows).unbind(1))
    return torch.stack(found, 1).view(-1, 4, side, side)


def _axis(side: int, like: Tensor) -> Float[Tensor, " s"]:
    return (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) / side


def spots(guide: Guide, label: int, sigma: float, side: int) -> Float[Tensor, "b s s"]:
    """A bump at each point of a label, the highest where they meet."""
    axis = _axis(side, guide.points)
    across = (axis - guide.points[..., :1]).square()
    down = (axis - guide.points[..., 1:]).square()
    bumps = torch.exp(-(down[..., None] + across[..., None, :]) / (2 * sigma**2))
    told = (guide.labels == label)[..., None, None]
    return torch.where(told, bumps, 0.0).amax(1)


def _sides(box: Float[Tensor, "b 4"], side: int) -> tuple[Tensor, Tensor]:
    axis = _axis(side, box)
    soft = side * 2.0
    x0, y0, x1, y1 = (part[:, None] for part in box.unbind(1))
    across = ((axis - x0) * soft).clamp(-0.5, 0.5) + ((x1 - axis) * soft).clamp(-0.5, 0.5)
    down = ((axis - y0) * soft).clamp(-0.5, 0.5) + ((y1 - axis) * soft).clamp(-0.5, 0.5)
    return across.clamp(min=0), down.clamp(min=0)


def drawn_box(box: Float[Tensor, "b 4"], side: int) -> Float[Tensor, "b s s"]:
    """1 inside a box, 0 outside; 0 without one."""
    across, down = _sides(box, side)
    return down[:, :, None] * across[:, None]


def bump_in(box: Float[Tensor, "b 4"], side: int) -> Float[Tensor, "b 1 n"]:
    """A bump in the middle of a box, as wide as it."""
    axis = _axis(side, box)
    centre, size = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]).clamp(min=1e-2)
    across = torch.exp(-8 * ((axis - centre[:, :1]) / size[:, :1]).square())
    down = torch.exp(-8 * ((axis - centre[:, 1:]) / size[:, 1:]).square())
    return (down[:, :, None] * across[:, None]).flatten(1)[:, None]
