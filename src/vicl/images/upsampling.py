"""Bringing a coarse answer to the query's size: plainly, or along the query's edges.

An engine that sees a photograph small answers small.  Enlarged plainly, its answer has soft and
displaced borders; the query at full size shows where they belong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from vicl.images import as_floats, resize_map

T = TypeVar("T")

Upsampling: TypeAlias = Literal["bicubic", "guided"]
"""`bicubic` looks at the values alone, `guided` also at the query."""

RADIUS: Final = 1
"""Of the guided filter's window, in pixels of the coarse values."""

LARGE: Final = 1 << 20
"""Pixels above which an image is worked on in bands."""

_COARSE: Final = 128
"""Rows of the coarse values that are worked on at a time."""

_BAND: Final = 1 << 17
"""Pixels of a band, of which a processor's cache holds all planes."""

SMOOTHNESS: Final = 1e-2
"""The guided filter's epsilon: contrast of the guide (a variance) below which it is ignored."""


def upsample(
    values: Float[Tensor, "c h w"],
    size: tuple[int, int],
    *,
    guide: Float[Tensor, "3 H W"] | UInt8[np.ndarray, "H W 3"],
    coarse: Float[Tensor, "3 _h _w"] | None = None,
    method: Upsampling = "guided",
) -> Float[Tensor, "c _H _W"]:
    """Enlarge an answer, a score map or a confidence to the query's size.

    Args:
        values: Finite numbers of any range, (c, h, w).
        size: (height, width) wanted: the guide's.
        guide: The query at full size, or at half of it, RGB: floats in [0, 1] or 8 bits a channel.
        coarse: The guide shrunk, where it is there already: best at the size of the values. An
            image over a megapixel is then worked on in bands.
        method: `bicubic` interpolates; `guided` makes the values follow the guide's edges: in
            each small window they are taken to be a linear function of the guide's colour, and
            that function is applied to the full-size colours.

    Returns:
        (c, height, width), between the least and the greatest of `values`; `values` themselves
        where they have that size already. Values larger than `size` are shrunk plainly.

    Raises:
        ValueError: If `size` is not the guide's nor twice that, the method is unknown, or `values`
            is empty or not finite.

    By a halved guide the answer has half the size, and is enlarged linearly from there.

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
    tall, wide = guide.shape[1:] if isinstance(guide, Tensor) else guide.shape[:2]
    if (tall, wide) not in (tuple(size), (size[0] // 2, size[1] // 2)):
        raise ValueError(f"guide: got size {(tall, wide)}, expected the size wanted, {tuple(size)}")
    height, width = values.shape[1:]
    if method == "bicubic" or height >= size[0] or width >= size[1]:
        return resize_map(values, size, filter="bicubic")
    if (tall, wide) != tuple(size):
        half = upsample(values, (tall, wide), guide=guide, coarse=coarse)
        return interpolate(half[None], size, mode="bilinear", align_corners=False)[0]
    if coarse is not None:
        coarse = resize_map(coarse.to(values), (height, width), filter="bilinear")
    if math.prod(size) > LARGE and coarse is not None:
        return _upsample_large(values, guide, coarse, size)
    whole = as_floats(guide).to(values)
    if coarse is None:
        coarse = resize_map(whole, (height, width), filter="bilinear")
    slope, offset = _coefficients(values, coarse)
    parts = torch.cat([slope.flatten(0, 1), offset])
    parts = interpolate(parts[None], size, mode="bilinear", align_corners=False)[0]
    slope = parts[: 3 * len(values)].reshape(-1, 3, *size)
    fitted = torch.einsum("ckhw,khw->chw", slope, whole) + parts[3 * len(values) :]
    lost = values - resize_map(fitted, (height, width), filter="bilinear")
    low, high = torch.aminmax(values)
    return fitted.add_(resize_map(lost, size, filter="bicubic")).clamp_(low, high).contiguous()


def _upsample_large(
    values: Float[Tensor, "c h w"],
    guide: Float[Tensor, "3 H W"] | UInt8[np.ndarray, "H W 3"],
    coarse: Float[Tensor, "3 h w"],
    size: tuple[int, int],
) -> Float[Tensor, "c H W"]:
    """The same band by band: beside the result nothing is held at full size.

    Resizing is separable: along the columns by matrix, for the rows that a band is made of.
    """
    (count, height, width), (tall, wide) = values.shape, size
    parts = values.new_empty(4 * count, height, width)
    margin = 2 * RADIUS
    for top in range(0, height, _COARSE):
        first = max(0, top - margin)
        seen = slice(first, top + _COARSE + margin)
        slope, offset = _coefficients(values[:, seen], coarse[:, seen])
        near = slice(top - first, top - first + _COARSE)
        parts[: 3 * count, top : top + _COARSE] = slope.flatten(0, 1)[:, near]
        parts[3 * count :, top : top + _COARSE] = offset[:, near]
    fitted = values.new_empty(count, *size)
    rows = max(1, _BAND // wide)
    bands = [range(top, min(top + rows, tall)) for top in range(0, tall, rows)]

    def fit(band: range) -> tuple[slice, Float[Tensor, "k r"], Float[Tensor, "c k w"]]:
        near, taps = _taps(band, height / tall, height, triangle)
        lines = interpolate(parts[:, near], wide, mode="linear", align_corners=False)
        lines = torch.matmul(taps / taps.sum(dim=1, keepdim=True), lines)
        found, by_channel = lines[3 * count :], lines[: 3 * count].view(count, 3, -1, wide)
        for channel, plane in enumerate(as_floats(_rows(guide, band)).to(values)):
            found.addcmul_(by_channel[:, channel], plane)
        _rows(fitted, band)[:] = found
        part = torch.matmul(taps.mT, found)
        return near, taps.mT, _along_rows(part, width, "bilinear")

    # What was fitted, shrunk by the same triangles.
    shrunk, weight = torch.zeros_like(values), values.new_zeros(height)
    sums = shrunk.numpy()  # NumPy adds in one thread, which is quicker for so little
    for near, taps, part in _in_threads(fit, bands):
        sums[:, near] += part.numpy()
        weight[near] += taps.sum(dim=1)
    lost = values - shrunk / weight[:, None]
    (low, high), (least, most) = torch.aminmax(values), torch.aminmax(lost)

    def put_back(band: range) -> None:
        near, taps = _taps(band, height / tall, height, cubic)
        lines = _along_rows(lost[:, near], wide, "bicubic")
        lines = torch.matmul(taps / taps.sum(dim=1, keepdim=True), lines).clamp_(least, most)
        torch.clamp(lines.add_(_rows(fitted, band)), low, high, out=_rows(fitted, band))

    for _ in _in_threads(put_back, bands):
        pass
    return fitted


def _along_rows(
    planes: Float[Tensor, "c k w"], width: int, filter: Literal["bilinear", "bicubic"]
) -> Float[Tensor, "c k w2"]:
    """Resize along the rows alone."""
    size = (planes.shape[1], width)
    return interpolate(planes[None], size, mode=filter, antialias=True, align_corners=False)[0]


def _rows(picture: Any, band: range) -> Any:
    """Some rows of planes, or of levels with their channels last."""
    rows = slice(band.start, band.stop)
    return picture[:, rows] if isinstance(picture, Tensor) else picture[rows]


def _in_threads(work: Callable[[range], T], bands: Sequence[range]) -> Iterator[T]:
    """Do bands in as many threads as PyTorch may use, each alone on its band; in order.

    A band is too small to be shared among threads: where other programs are busy too, these would
    mostly wait for one another.
    """
    count = torch.get_num_threads()
    if count == 1:
        yield from map(work, bands)
        return
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for start in range(0, len(bands), 4 * count):  # else results would pile up
            yield from pool.map(work, bands[start : start + 4 * count])
    torch.set_num_threads(count)  # what threads to come begin with


def _taps(
    band: range, scale: float, height: int, filter: Callable[[Tensor], Tensor]
) -> tuple[slice, Float[Tensor, "r k"]]:
    """Which of the `height` coarse rows some fine ones are made of, and how much they weigh."""
    at = (torch.arange(band.start, band.stop) + 0.5) * scale - 0.5
    near = slice(max(0, int(at[0]) - 1), min(height, int(at[-1]) + 3))
    return near, filter((at[:, None] - torch.arange(near.start, near.stop)).abs())


def triangle(distance: Tensor) -> Tensor:
    """What linear interpolation weighs by, of distances that are not negative."""
    return (1 - distance).clamp(min=0)


def cubic(distance: Tensor) -> Tensor:
    """Keys' cubic with a = -0.5, as Pillow and PyTorch resize by."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0))


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
