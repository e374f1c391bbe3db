"""Pictures inside a graph: resized, as Lab colours, enlarged along a photograph's edges.

The same as :mod:`vicl.images` and :mod:`vicl.images.upsampling` do, of batches, without a choice
that depends on a value or a size, and without rounding to 8 bits: a graph has neither.
"""

from __future__ import annotations

from typing import Final, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.images.upsampling import RADIUS, SMOOTHNESS, cubic, triangle

_TO_XYZ: Final = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE: Final = (0.95047, 1.0, 1.08883)
"""Of the illuminant D65."""


def shrunk(image: Float[Tensor, "b 3 h w"], size: tuple[int, int]) -> Float[Tensor, "b 3 h2 w2"]:
    """Pictures in [0, 1] at another size, larger or smaller: bicubic, antialiased."""
    return resized(image, size, "bicubic").clamp(0, 1)


def resized(
    values: Float[Tensor, "b c h w"],
    size: tuple[int, int],
    filter: Literal["bilinear", "bicubic"],
) -> Float[Tensor, "b c h2 w2"]:
    """Maps of numbers at another size, antialiased where they are shrunk.

    By products of matrices: they differ among runtimes by less than the resizing operators do
    (1e-7 for 3e-5), and what is asked twice hangs on thresholds.
    """
    down, across = (
        _taps(length, to, filter).to(values)
        for length, to in zip(values.shape[2:], size, strict=True)
    )
    found: Tensor = down @ values @ across.T
    return found


def _taps(length: int, to: int, filter: Literal["bilinear", "bicubic"]) -> Float[Tensor, "t n"]:
    """How much each of `length` places weighs in each of those that they become."""
    scale = torch.ones(1) * length / to
    at = (torch.arange(to) + 0.5) * scale - 0.5
    apart = (at[:, None] - torch.arange(length)).abs() / scale.clamp(min=1)
    weights = triangle(apart) if filter == "bilinear" else cubic(apart)
    return weights / weights.sum(1, keepdim=True)


def to_lab(image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """See :func:`vicl.encoders.handmade.to_lab`: CIELAB over 50, of sRGB in [0, 1]."""
    bent = ((image.clamp(min=0.04) + 0.055) / 1.055) ** 2.4
    linear = torch.where(image > 0.04045, bent, image / 12.92)
    scaled = image.new_tensor(_TO_XYZ) / image.new_tensor(_WHITE)[:, None]
    xyz = torch.einsum("kc,chw->khw", scaled, linear)
    root = torch.where(xyz > 0.008856, xyz.clamp(min=0.008) ** (1 / 3), 7.787 * xyz + 16 / 116)
    light, red, yellow = root[1:2], root[:1] - root[1:2], root[1:2] - root[2:]
    return torch.cat([116 * light - 16, 500 * red, 200 * yellow]) / 50


def enlarged(
    values: Float[Tensor, "c h w"], query: Float[Tensor, "1 3 H W"], *, guided: bool = True
) -> Float[Tensor, "c H W"]:
    """Bring an answer to the query's size; see :func:`vicl.images.upsampling.upsample`.

    Differs: a query that is smaller than the answer is a guide, too.

    Args:
        values: Of any range.
        query: RGB in [0, 1].
        guided: Along its edges; else plainly.
    """
    size, small = (query.shape[2], query.shape[3]), (values.shape[1], values.shape[2])
    low, high = values.min(), values.max()
    if not guided:
        return resized(values[None], size, "bicubic")[0].clamp(low, high)
    guide = query - 0.5  # about zero: variances then lose fewer digits
    slope, offset = _coefficients(values, resized(guide, small, "bilinear")[0])
    parts = torch.cat([slope.flatten(0, 1), offset])[None]
    parts = F.interpolate(parts, size, mode="bilinear", align_corners=False)[0]
    slope = parts[: 3 * len(values)].reshape(len(values), 3, *size)
    fitted = (slope * guide).sum(1) + parts[3 * len(values) :]
    lost = values - resized(fitted[None], small, "bilinear")[0]
    back = resized(lost[None], size, "bicubic")[0].clamp(lost.min(), lost.max())
    grown: Tensor = fitted + back
    return grown.clamp(low, high)


def _coefficients(
    values: Float[Tensor, "c h w"], guide: Float[Tensor, "3 h w"]
) -> tuple[Float[Tensor, "c 3 h w"], Float[Tensor, "c h w"]]:
    """Slopes and offset that predict the values from the guide's colour, at each place."""
    mean, target = _box(guide), _box(values)
    size = values.shape[1:]
    pairs = _box((guide[:, None] * guide[None]).flatten(0, 1)).reshape(3, 3, *size)
    shared = _box((values[:, None] * guide[None]).flatten(0, 1)).reshape(len(values), 3, *size)
    spread = pairs - mean[:, None] * mean[None]
    ridge = SMOOTHNESS * torch.eye(3).to(guide)
    inverse = _inverse(spread + ridge[:, :, None, None])
    apart = shared - target[:, None] * mean[None]
    slope = (inverse[None] * apart[:, None]).sum(2)
    offset = target - (slope * mean[None]).sum(1)
    return _box(slope.flatten(0, 1)).reshape(len(values), 3, *size), _box(offset)


def _inverse(matrix: Float[Tensor, "3 3 h w"]) -> Float[Tensor, "3 3 h w"]:
    """Of symmetrical matrices, by Cramer's rule: graphs solve no equations."""
    rows = matrix.unbind(0)
    crossed = [torch.linalg.cross(rows[i - 2], rows[i - 1], dim=0) for i in range(3)]
    inverse: Tensor = torch.stack(crossed) / (rows[0] * crossed[0]).sum(0)
    return inverse


def _box(planes: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Mean over the window, of what lies inside the image."""
    side = 2 * RADIUS + 1
    return F.avg_pool2d(planes[None], side, 1, RADIUS, count_include_pad=False)[0]
