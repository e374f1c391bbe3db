"""A closer look at the part of an image that a box is around."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.models.promptable.guidance import Guide

Part: TypeAlias = tuple[int, int, int, int]
"""Of an image: x0, y0, x1, y1 in pixels, half-open."""

_AROUND: Final = 1.6
"""A part is so many times as wide and high as its box."""

_NARROWEST: Final = 0.5
"""A side of a part, before it is cut off, as a share of the longer one."""

_LEAST: Final = 32
"""Pixels of a side, of an image that has so many."""


def part_around(box: np.ndarray, size: tuple[int, int]) -> Part:
    """The box with its surroundings, as far as the image goes.

    Args:
        box: x0, y0, x1, y1 in pixels.
        size: (height, width) of the image.
    """
    middle, sides = (box[:2] + box[2:]) / 2, _AROUND * (box[2:] - box[:2])
    half = np.maximum(sides, max(_NARROWEST * sides.max(), _LEAST)) / 2
    low, high = np.maximum(middle - half, 0), np.minimum(middle + half, (size[1], size[0]))
    x0, y0 = np.floor(low).astype(int).tolist()
    x1, y1 = np.ceil(high).astype(int).tolist()
    return x0, y0, x1, y1


def in_shares(part: Part, size: tuple[int, int]) -> Float[Tensor, " 4"]:
    """Where a part lies, in shares of the image's width and height."""
    height, width = size
    return torch.tensor(part) / torch.tensor([width, height, width, height])


def moved(guide: Guide, part: Float[Tensor, " 4"]) -> Guide:
    """What is asked of an image, asked of a part of it; points that lie elsewhere are left out.

    Args:
        guide: In shares of the image, a batch of one, with a box that reaches into the part.
        part: In shares of the image.
    """
    sides = part[2:] - part[:2]
    points = (guide.points - part[:2]) / sides
    inside = ((points >= 0) & (points < 1)).all(-1)
    box = ((guide.box - part[:2].repeat(2)) / sides.repeat(2)).clamp(0, 1)
    earlier = guide.earlier
    if (earlier[:, 0, 0] >= 0).all():
        earlier = seen_from(earlier, part)
    return Guide(points.clamp(0, 1), torch.where(inside, guide.labels, -1), box, earlier)


def seen_from(values: Float[Tensor, "n p p"], part: Float[Tensor, " 4"]) -> Float[Tensor, "n p p"]:
    """Maps of an image on a grid of a part of it, as many places a side.

    Args:
        values: Of the image.
        part: In shares of it.
    """
    axis = (torch.arange(values.shape[-1]) + 0.5) / values.shape[-1]
    across, down = (2 * (part[i] + axis * (part[i + 2] - part[i])) - 1 for i in (0, 1))
    grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1)[None]
    return F.grid_sample(
        values[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )[0]
