"""Bringing a coarse answer to the query's size: plainly, or along the query's edges.

An engine that sees a photograph small answers small.  Enlarged plainly, its answer has soft and
displaced borders; the query at full size shows where they belong.
"""

from __future__ import annotations

import math
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from vicl.images import as_floats, resize_map

Upsampling: TypeAlias = Literal["bicubic", "guided"]
"""`bicubic` looks at the values alone, `guided` also at the query."""

RADIUS: Final = 1
"""Of the guided filter's window, in pixels of the coarse values."""

BAND: Final = 1 << 20
"""Pixels above which an image is worked on in bands."""

_ROWS_OF: Final = 1 << 17
"""Pixels of a band: what a processor's cache holds of all planes."""

SMOOTHNESS: Final = 1e-2
"""The guided filter's epsilon: contrast of the guide (a variance) below which it is ignored."""


def upsample(
    values: Float[Tensor, "c h w"],
    size: tuple[int, int],
    *,
    guide: Float[Tensor, "3 H W"] | UInt8[np.ndarray, "H W 3"],
    method: Upsampling = "guided",
) -> Float[Tensor, "c H W"]:
    """Enlarge an answer, a score map or a confidence to the query's size.

    Args:
        values: Finite numbers of any range, (c, h, w).
        size: (height, width) wanted: the guide's.
        guide: The query at full size, RGB: floats in [0, 1] or 8 bits a channel.
        method: `bicubic` interpolates; `guided` makes the values follow the guide's edges: in
            each small window they are taken to be a linear function of the guide's colour, and
            that function is applied to the full-size colours.

    Returns:
        (c, height, width), between the least and the greatest of `values`; `values` themselves
        where they have that size already. Values larger than `size` are shrunk plainly.

    Raises:
        ValueError: If `size` is not the guide's, the method is unknown, or `values` is empty or
            not finite.

    The filter also blurs; what it lost at the coarse size is put back (one back-projection), which
    keeps a sharp mask as sharp as `bicubic` does.

    Source: He, Sun, Tang, "Guided image filtering", ECCV 2010 (colour guide: TPAMI 2013,
    equations 19-21); He, Sun, "Fast guided filter", arXiv:1505.00996: coefficients at low
    resolution, applied at high.
    """
    if method not in get_args(Upsampling):
        raise ValueError(
            f"method: got {method!r}, expected one of {', '.join(get_args(Upsampling))}"
        )
    given = tuple(guide.shape[1:] if isinstance(guide, Tensor) else guide.shape[:2])
    if given != tuple(size):
        raise ValueError(f"guide: got size {given}, expected the size wanted, {tuple(size)}")
    height, width = values.shape[1:]
    if method == "bicubic" or height >= size[0] or width >= size[1]:
        return resize_map(values, size, filter="bicubic")
    low, high = torch.aminmax(values)
    if math.prod(size) > BAND:
        return _upsample_large(values, guide, size, low, high)
    whole = as_floats(guide).to(values)
    coarse = resize_map(whole, (height, width), filter="bilinear")
    slope, offset = _coefficients(values, coarse)
    parts = torch.cat([slope.flatten(0, 1), offset])
    wide = interpolate(parts[None], size, mode="bilinear", align_corners=False)[0]
    slope = wide[: 3 * len(values)].reshape(-1, 3, *size)
    fitted = torch.einsum("ckhw,khw->chw", slope, whole) + wide[3 * len(values) :]
    lost = values - resize_map(fitted, (height, width), filter="bilinear")
    return fitted.add_(resize_map(lost, size, filter="bicubic")).clamp_(low, high).contiguous()


def _upsample_large(
    values: Float[Tensor, "c h w"],
    guide: Float[Tensor, "3 H W"] | UInt8[np.ndarray, "H W 3"],
    size: tuple[int, int],
    low: Float[Tensor, ""],
    high: Float[Tensor, ""],
) -> Float[Tensor, "c H W"]:
    """The same band by band: beside the result nothing is held at full size.

    Resizing is separable; its first half, along the rows, keeps to a band.
    """
    (count, height, width), (tall, wide) = values.shape, size
    rows = max(1, _ROWS_OF // wide)
    bands = [slice(top, min(top + rows, tall)) for top in range(0, tall, rows)]

    def seen(band: slice) -> Float[Tensor, "3 r W"]:
        part = guide[:, band] if isinstance(guide, Tensor) else guide[band]
        return as_floats(part).to(values)

    narrow = values.new_empty(3, tall, width)
    for band in bands:
        narrow[:, band] = _shrunk(seen(band), width)
    coarse = _shrunk(narrow.mT, height).mT
    slope, offset = _coefficients(values, coarse)
    parts = torch.cat([slope.flatten(0, 1), offset])
    linear = _taps(tall, height, "bilinear").to(values)
    fitted = values.new_empty(count, *size)
    narrow = values.new_empty(count, tall, width)
    for band in bands:
        colours, lines = seen(band), _lines(parts, linear[band], wide, "bilinear")
        found, by_channel = lines[3 * count :], lines[: 3 * count].view(count, 3, -1, wide)
        for channel, plane in enumerate(colours):
            found.addcmul_(by_channel[:, channel], plane)
        fitted[:, band] = found
        narrow[:, band] = _shrunk(found, width)
    lost = values - _shrunk(narrow.mT, height).mT
    least, most = torch.aminmax(lost)
    cubic = _taps(tall, height, "bicubic").to(values)
    for band in bands:
        lines = _lines(lost, cubic[band], wide, "bicubic").clamp_(least, most)
        fitted[:, band].add_(lines).clamp_(low, high)
    return fitted


def _shrunk(planes: Float[Tensor, "c r W"], width: int) -> Float[Tensor, "c r w"]:
    """Shrink along the rows alone."""
    return interpolate(
        planes[None], (planes.shape[1], width), mode="bilinear", antialias=True, align_corners=False
    )[0]


def _taps(tall: int, height: int, filter: Literal["bilinear", "bicubic"]) -> Float[Tensor, "H h"]:
    """How much of each of `height` rows each of `tall` enlarged ones takes; sparse."""
    return interpolate(
        torch.eye(height)[None, None],
        (tall, height),
        mode=filter,
        antialias=True,
        align_corners=False,
    )[0, 0]


def _lines(
    planes: Float[Tensor, "c h w"],
    taps: Float[Tensor, "r h"],
    width: int,
    filter: Literal["bilinear", "bicubic"],
) -> Float[Tensor, "c r W"]:
    """Some rows of the enlarged planes."""
    used = torch.nonzero(taps.any(dim=0)).ravel()
    near = slice(int(used[0]), int(used[-1]) + 1)
    part = planes[:, near]
    wide = interpolate(
        part[None], (part.shape[1], width), mode=filter, antialias=True, align_corners=False
    )[0]
    return torch.matmul(taps[:, near], wide)


def _coefficients(
    values: Float[Tensor, "c h w"], guide: Float[Tensor, "3 h w"]
) -> tuple[Float[Tensor, "c 3 h w"], Float[Tensor, "c h w"]]:
    """Slopes and offset that predict the values from the guide's colour, at each pixel."""
    mean, target = _box(guide), _box(values)
    # (3, 3, h, w): how the guide's channels vary together; (c, 3, h, w): the values with them.
    spread = _box_products(guide, guide) - mean[:, None] * mean[None]
    shared = _box_products(values, guide) - target[:, None] * mean[None]
    matrix = spread.permute(2, 3, 0, 1) + SMOOTHNESS * torch.eye(3).to(guide)
    slope = torch.linalg.solve(matrix, shared.permute(2, 3, 1, 0)).permute(3, 2, 0, 1)
    offset = target - (slope * mean[None]).sum(dim=1)
    smooth = _box(slope.flatten(0, 1)).reshape(slope.shape)
    return smooth, _box(offset)


def _box_products(
    first: Float[Tensor, "a h w"], second: Float[Tensor, "b h w"]
) -> Float[Tensor, "a b h w"]:
    products = first[:, None] * second[None]
    return _box(products.flatten(0, 1)).reshape(products.shape)


def _box(planes: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Mean over the window, of what lies inside the image."""
    side = 2 * RADIUS + 1
    return avg_pool2d(planes[None], side, stride=1, padding=RADIUS, count_include_pad=False)[0]
