"""Telling objects of one class apart that touch: by the hearts that the head sees in them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_SIDE: Final = 768
"""Larger masks are told apart at this size, in pixels of the longer side."""

_HEART: Final = 0.4
"""How deep inside its object a place must lie to be a heart."""

_STANDS_OUT: Final = 0.05
"""How much deeper a heart lies than the way to the next."""

_SMOOTH: Final = 1.0
"""Of the depths, before hearts are sought: sigma in places of the fine grid."""


def tell_apart(mask: Bool[Tensor, "h w"], depth: Float[Tensor, "f f"]) -> Int[Tensor, "h w"]:
    """Number the objects of a mask from 1.

    Args:
        mask: Where the class is.
        depth: How deep inside its own object each place lies, in [0, 1], on a grid of its own.

    Source: watershed from markers, on the depth (Meyer, 1991; `skimage.segmentation.watershed`).
    """
    from scipy import ndimage
    from skimage import morphology, segmentation

    maxima: Any = morphology.h_maxima
    watershed: Any = segmentation.watershed

    height, width = mask.shape
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = F.interpolate(mask[None, None].float(), size, mode="area")[0, 0] >= 0.5
    where = small.numpy()
    deep = F.interpolate(depth[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    sigma = (_SMOOTH * size[0] / len(depth), _SMOOTH * size[1] / len(depth))
    smoothed = ndimage.gaussian_filter(deep.numpy(), sigma)
    # What stands out among its surroundings: else the heart of a large object falls to pieces.
    hearts = maxima(smoothed, _STANDS_OUT) * (smoothed > _HEART * smoothed.max(initial=0)) * where
    markers, count = ndimage.label(hearts, structure=np.ones((3, 3)))
    markers = markers.astype(np.int32)
    # What has no heart is an object all the same.
    parts, pieces = ndimage.label(where, structure=np.ones((3, 3)))
    lacking = np.setdiff1d(np.arange(1, pieces + 1), np.unique(parts[markers > 0]))
    # By a table: a pass over the mask for each would cost specks times pixels.
    numbers = np.zeros(pieces + 1, np.int32)
    numbers[lacking] = np.arange(count + 1, count + 1 + len(lacking))
    markers = np.where(markers == 0, numbers[parts], markers)
    found = watershed(-smoothed, markers, mask=where).astype(np.int32)
    if size != (height, width):
        # Each pixel of the mask goes to the nearest place that has a number.
        nearest = ndimage.distance_transform_edt(
            found == 0, return_distances=False, return_indices=True
        )
        full = torch.from_numpy(found[tuple(nearest)])[None, None].float()
        found = F.interpolate(full, (height, width), mode="nearest")[0, 0].int().numpy()
    return torch.where(mask, torch.from_numpy(found.astype(np.int32)), 0)
