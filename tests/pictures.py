"""Pictures that the tests make for themselves."""

from __future__ import annotations

import torch
from torch import Tensor


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """A random 8-bit RGB picture, float (3, h, w) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(0, 256, (3, height, width), generator=generator)
    return levels.float() / 255
