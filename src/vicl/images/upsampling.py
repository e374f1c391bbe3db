"""Bringing a coarse answer to the query's size: plainly, or along the query's edges.

An engine that sees a photograph small answers small.  Enlarged plainly, its answer has soft and
displaced borders; the query at full size shows where they belong.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from vicl.images import resize_map

Upsampling: TypeAlias = Literal["bicubic", "guided"]
"""`bicubic` looks at the values alone, `guided` also at the query."""

RADIUS: Final = 1
"""Of the guided filter's window, in pixels of the coarse values."""

BAND: Final = 1 << 20
"""Pixels of a large image that are worked on at a time."""

SMOOTHNESS: Final = 1e-2
"""The guided filter's epsilon: contrast of the guide (a variance) below which it is ignored."""


def upsample(
    values: Float[Tensor, "c h w"],
    size: tuple[int, int],
    *,
    guide: Float[Tensor, "3 H W"],
    method: Upsampling = "guided",
) -> Float[Tensor, "c H W"]:
    """Enlarge an answer, a score map or a confidence to the query's size.

    Args:
        values: Finite numbers of any range, (c, h, w).
        size: (height, width) wanted: the guide's.
        guide: The query at full size, RGB in [0, 1].
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
    if tuple(guide.shape[1:]) != tuple(size):
        raise ValueError(
            f"guide: got size {tuple(guide.shape[1:])}, expected the size wanted, {tuple(size)}"
        )
    height, width = values.shape[1:]
    if method == "bicubic" or height >= size[0] or width >= size[1]:
        return resize_map(values, size, filter="bicubic")
    low, high = torch.aminmax(values)
    coarse = resize_map(guide.to(values), (height, width), filter="bilinear")
    slope, offset = _coefficients(values, coarse)
    fitted = _applied(slope, offset, guide.to(values))
    lost = values - resize_map(fitted, (height, width), filter="bilinear")
    # In place, since each is as large as the query.
    return fitted.add_(resize_map(lost, size, filter="bicubic")).clamp_(low, high).contiguous()


def _applied(
    slope: Float[Tensor, "c 3 h w"], offset: Float[Tensor, "c h w"], guide: Float[Tensor, "3 H W"]
) -> Float[Tensor, "c H W"]:
    """Apply coarse coefficients to the full-size colours; of a large image band by band."""
    count, size = len(offset), (guide.shape[1], guide.shape[2])
    parts = torch.cat([slope.flatten(0, 1), offset])
    rows = max(1, BAND // size[1])
    if rows >= size[0]:
        wide = interpolate(parts[None], size, mode="bilinear", align_corners=False)[0]
        return _fitted(wide, guide, count)
    # First along the rows, then for each band along the columns: what `interpolate` does at once.
    wide = interpolate(
        parts[None], (parts.shape[1], size[1]), mode="bilinear", align_corners=False
    )[0]
    fitted = guide.new_empty(count, *size)
    at = (torch.arange(size[0], device=guide.device) + 0.5) * (parts.shape[1] / size[0]) - 0.5
    at = at.clamp(0, parts.shape[1] - 1)
    above = at.floor().long()
    below = (above + 1).clamp(max=parts.shape[1] - 1)
    share = (at - above).to(guide)[:, None]
    for top in range(0, size[0], rows):
        band = slice(top, top + rows)
        lines = torch.lerp(wide[:, above[band]], wide[:, below[band]], share[band])
        fitted[:, band] = _fitted(lines, guide[:, band], count)
    return fitted


def _fitted(
    parts: Float[Tensor, "p h w"], guide: Float[Tensor, "3 h w"], count: int
) -> Float[Tensor, "c h w"]:
    slope = parts[: 3 * count].reshape(count, 3, *guide.shape[1:])
    return torch.einsum("ckhw,khw->chw", slope, guide) + parts[3 * count :]


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
