"""Specks and holes: what is connected is kept, or filled, as the surest of its places says.

Chances near a half make islands and holes of a few pixels. One that has no sure place is taken to
be what surrounds it. What is thin stays, however unsure most of it is, if it is sure somewhere.

Source: thresholds with hysteresis (Canny, 1986), on both sides of the answer.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

_SURE: Final = 2.0
"""Log-odds that an island reaches somewhere."""

_HOLE: Final = 1.0
"""Log-odds against the thing that a hole reaches somewhere."""

_OF_SUREST: Final = 0.5
"""Less will do where the answer is unsure as a whole: this share of the surest place."""


def without_specks(odds: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Turn the log-odds of islands and holes that are sure nowhere to the other side."""
    settled = torch.where(_unsure(odds, _SURE, corners=True), -odds, odds)
    # What touches at corners is one thing, so a hole does not leak through them.
    return torch.where(_unsure(-settled, _HOLE, corners=False), -settled, settled)


def _unsure(odds: Float[Tensor, "h w"], sure: float, *, corners: bool) -> Bool[Tensor, "h w"]:
    """Where what is positive and connected is sure nowhere."""
    from scipy import ndimage

    values = odds.numpy()
    parts, count = ndimage.label(values > 0, structure=np.ones((3, 3)) if corners else None)
    surest = np.asarray(ndimage.maximum(values, parts, np.arange(1, count + 1)))
    lacking = surest < min(sure, _OF_SUREST * float(values.max(initial=0)))
    return torch.from_numpy(np.concatenate([[False], lacking])[parts])
