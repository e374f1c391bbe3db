"""Colorization by hints: a few dabs of colour on a gray photograph spread over it.

Colours run along similar gray and stop at edges.  The lightness stays the photograph's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from vicl.images import (
    DEFAULT_LIMIT_PIXELS,
    ImageLike,
    brief,
    open_image,
    shrunk_size,
    to_levels,
)
from vicl.images.upsampling import upsample
from vicl.tasks.image import LUMA

_SIDE: Final = 256
"""Longest side, in pixels, at which colours spread."""

_DETAIL: Final = 2048
"""Longest side at which colours follow the photograph's edges; lightness has full size."""

_SHARP: Final = 1.5
"""How much less readily colour crosses a difference of gray that is the mean of its photograph."""

_LEAST: Final = 1e-5
"""Conductance across the strongest edge, beside at most 1 (and this) where gray is equal."""

_FADES: Final = 1e-4
"""How readily a place stays gray, beside conductances."""

_FIRM: Final = 1e3
"""How firmly a place is told its colour, likewise."""

_REACHED: Final = 0.5
"""Colour that reaches a place as surely as this, or surer, is not faded there."""

_BAND: Final = 1 << 17
"""Pixels that are worked on at a time, whose planes a processor's cache holds."""

_DAB: Final = 50
"""A dab's diameter, unless it is said: one part in so many of the longest side."""


class HintError(ValueError):
    """Hints that cannot be used; the message says why."""


@dataclass(frozen=True)
class Dab:
    """A round dab of colour.

    Attributes:
        x: Its middle, in pixels of the photograph from the left.
        y: From the top.
        colour: Red, green and blue in [0, 255]. What counts is its hue and how strong it is, not
            how light: a gray says that a place is gray.
        size: Diameter in pixels; None is a fiftieth of the photograph's longest side. A dab covers
            the pixel that it is on at least.
    """

    x: float | int
    y: float | int
    colour: tuple[int, int, int]
    size: float | int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.x) and math.isfinite(self.y)):
            raise HintError(f"dab: got the place ({self.x}, {self.y}), expected pixels")
        if len(self.colour) != 3 or any(not 0 <= part <= 255 for part in self.colour):
            raise HintError(f"dab: got the colour {self.colour}, expected three of 0 to 255")
        if self.size is not None and not 0 < self.size < math.inf:
            raise HintError(f"dab: got the size {self.size}, expected pixels, more than 0")


Hints: TypeAlias = ImageLike | Sequence[Dab]
"""Dabs; or a picture of the photograph's size whose alpha is 0 where it says nothing."""


def colorize(
    photo: ImageLike, hints: Hints, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
) -> Image.Image:
    """Colour a photograph as hints say.

    Args:
        photo: As for :func:`vicl.images.to_tensor`; colours that it has are left out.
        hints: Dabs, of which a later one lies over earlier ones; or a picture with transparency
            (a file, a PIL image, an array HxWx4 of uint8) of the photograph's size: it says nothing
            where its alpha is under 128.
        limit_pixels: Of files and PIL images.

    Returns:
        RGB of the photograph's size and Rec. 601 luma, but for rounding. What no hint reaches is
        gray; so is all of it without any hint. A colour that the luma of a place does not allow
        is as strong there as it can be.

    Raises:
        HintError: If the hints are of another size, or have no transparency; if a dab is not on
            the photograph.
        vicl.images.ImageError: If a picture cannot be opened.

    Chroma spreads over at most 256 pixels a side, whatever the photograph's size, and is then
    brought along its edges; beyond that time grows with the pixels, and memory by some bytes each.

    Source: Levin, Lischinski, Weiss, "Colorization using optimization", SIGGRAPH 2004. Differs:
    gray is compared by the mean difference in the photograph and not in each window; what is far
    from all hints, by way of gray, fades.
    """
    lightness = Image.fromarray(to_levels(photo, limit_pixels=limit_pixels)).convert("L")
    size = lightness.height, lightness.width
    small = _shrunk(lightness, _SIDE)
    told = _Told.empty((small.height, small.width))
    if isinstance(hints, Sequence) and not isinstance(hints, str):
        for dab in _dabs(hints, size):
            told.add_dab(dab, size)
    else:
        told.add_picture(_picture(hints, size, limit_pixels))
    if not told.count.any():
        return lightness.convert("RGB")
    chroma = torch.from_numpy(_spread(np.asarray(small, np.float64) / 255, told))
    detailed = _shrunk(lightness, _DETAIL)
    guide = np.repeat(np.asarray(detailed)[..., None], 3, 2)
    coarse = torch.from_numpy(np.asarray(small, np.float32) / 255).expand(3, -1, -1).contiguous()
    chroma = upsample(chroma, (detailed.height, detailed.width), guide=guide, coarse=coarse)
    return _composed(lightness, [Image.fromarray(plane) for plane in chroma.numpy()])


def _shrunk(image: Image.Image, longest: int) -> Image.Image:
    height, width = shrunk_size((image.height, image.width), longest)
    return image.resize((width, height), Image.Resampling.BOX, reducing_gap=None)


def _dabs(hints: Sequence[Dab], size: tuple[int, int]) -> Iterator[Dab]:
    """Each dab, once it is known to be on the photograph."""
    for dab in hints:
        if not (0 <= dab.x < size[1] and 0 <= dab.y < size[0]):
            raise HintError(
                f"dab: ({dab.x:g}, {dab.y:g}) is not on the photograph, which is {size[1]}x"
                f"{size[0]} pixels (width x height)"
            )
        yield dab


def _picture(
    hints: ImageLike, size: tuple[int, int], limit_pixels: int
) -> UInt8[np.ndarray, "h w 4"]:
    """Hints as a picture, red, green, blue and alpha."""
    if isinstance(hints, np.ndarray):
        if hints.ndim != 3 or hints.shape[2] != 4 or hints.dtype != np.uint8:
            raise HintError(f"hints: got {brief(hints)}, expected HxWx4 of uint8 (RGBA)")
        found = hints
    elif isinstance(hints, torch.Tensor):
        raise HintError(f"hints: got {brief(hints)}, expected a file, a PIL image or an array")
    else:
        opened = (
            hints
            if isinstance(hints, Image.Image)
            else open_image(hints, limit_pixels=limit_pixels)
        )
        if not opened.has_transparency_data:
            raise HintError(
                f"hints: {brief(hints)} has no transparency, expected a picture whose alpha is 0 "
                "where it says nothing (save it as PNG with an alpha channel)"
            )
        found = np.asarray(opened.convert("RGBA"))
    if found.shape[:2] != size:
        raise HintError(
            f"hints: got {found.shape[1]}x{found.shape[0]} pixels (width x height), expected the "
            f"photograph's {size[1]}x{size[0]}"
        )
    return found


@dataclass(frozen=True, eq=False)
class _Told:
    """What is told at the size at which colours spread.

    Attributes:
        colours: Sum of red, green and blue of what is told of each place, in [0, 255].
        count: By how many pixels.
    """

    colours: Float[np.ndarray, "3 h w"]
    count: Float[np.ndarray, "h w"]

    @classmethod
    def empty(cls, size: tuple[int, int]) -> _Told:
        """Nothing is told."""
        return cls(np.zeros((3, *size)), np.zeros(size))

    def add_dab(self, dab: Dab, size: tuple[int, int]) -> None:
        """Put a dab over what was told; `size` is the photograph's."""
        rows, columns = self.count.shape
        tall, wide = size[0] / rows, size[1] / columns
        radius = (max(size) / _DAB if dab.size is None else dab.size) / 2
        y = (np.arange(rows)[:, None] + 0.5) * tall - dab.y
        x = (np.arange(columns)[None] + 0.5) * wide - dab.x
        inside = x * x + y * y <= radius * radius
        inside[int(dab.y / tall), int(dab.x / wide)] = True
        self.colours[:, inside] = np.array(dab.colour)[:, None]
        self.count[inside] = 1

    def add_picture(self, picture: UInt8[np.ndarray, "h w 4"]) -> None:
        """Count the pixels of a picture that say something."""
        (rows, columns), (height, width) = self.count.shape, picture.shape[:2]
        band = max(1, _BAND // width)
        for top in range(0, height, band):
            part = picture[top : top + band]
            y, x = np.nonzero(part[..., 3] >= 128)
            place = (y + top) * rows // height * columns + x * columns // width
            for levels, one in zip(self.colours, np.moveaxis(part[y, x, :3], 1, 0), strict=True):
                levels += np.bincount(place, one, rows * columns).reshape(rows, columns)
            self.count[:] += np.bincount(place, minlength=rows * columns).reshape(rows, columns)


def _spread(gray: Float[np.ndarray, "h w"], told: _Told) -> Float[np.ndarray, "2 h w"]:
    """What to add to red and to blue so that gray becomes colour, in [-1, 1].

    At each place the mean colour of the hints that a walker comes to who steps the more readily
    the more alike gray is (:mod:`vicl.models.promptable.walks`); a linear system, solved exactly.
    """
    from scipy import sparse
    from scipy.sparse.linalg import splu

    is_told = told.count > 0
    rgb = told.colours / np.maximum(told.count, 1) / 255
    luma = np.tensordot(LUMA, rgb, 1)
    wanted = _FIRM * is_told * np.stack([rgb[0] - luma, rgb[2] - luma, np.ones_like(luma)])
    place = np.arange(gray.size).reshape(gray.shape)
    one = np.concatenate([place[:, 1:].ravel(), place[1:].ravel()])
    other = np.concatenate([place[:, :-1].ravel(), place[:-1].ravel()])
    apart = np.square(gray.ravel()[one] - gray.ravel()[other])
    alike = np.exp(-_SHARP * apart / (apart.mean() + 1e-8)) + _LEAST if len(one) else apart
    both = np.concatenate([one, other]), np.concatenate([other, one])
    steps = sparse.coo_matrix((np.tile(alike, 2), both), (gray.size, gray.size)).tocsc()
    leaves = np.asarray(steps.sum(axis=1)).ravel() + _FADES + _FIRM * is_told.ravel()
    system = (sparse.diags(leaves) - steps).tocsc()
    factors = splu(
        system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    found = factors.solve(wanted.reshape(3, -1).T).T.reshape(wanted.shape)
    chroma: Float[np.ndarray, "2 h w"] = found[:2] / np.maximum(found[2], _REACHED)
    return chroma.astype(np.float32)


def _composed(lightness: Image.Image, chroma: Sequence[Image.Image]) -> Image.Image:
    """The photograph in colour, band by band; chroma may be smaller than it."""
    made = np.empty((lightness.height, lightness.width, 3), np.uint8)
    rows = max(1, _BAND // lightness.width)
    for top in range(0, lightness.height, rows):
        gray = np.asarray(lightness.crop((0, top, lightness.width, min(top + rows, len(made)))))
        made[top : top + rows] = _coloured(
            gray, [_part(one, made.shape, top, gray) for one in chroma]
        )
    return Image.fromarray(made)


def _part(
    chroma: Image.Image, shape: tuple[int, ...], top: int, gray: UInt8[np.ndarray, "r w"]
) -> Float[np.ndarray, "r w"]:
    """Rows of a plane of chroma at the photograph's size."""
    scale = chroma.height / shape[0]
    box = (0.0, top * scale, float(chroma.width), (top + len(gray)) * scale)
    wanted = gray.shape[1], gray.shape[0]
    return np.asarray(chroma.resize(wanted, Image.Resampling.BILINEAR, box=box))


def _coloured(
    gray: UInt8[np.ndarray, "r w"], chroma: Sequence[Float[np.ndarray, "r w"]]
) -> UInt8[np.ndarray, "r w 3"]:
    """Gray with chroma; where a channel would leave its range all are drawn towards gray."""
    red, blue = chroma
    level = gray.astype(np.float32)
    share = np.full_like(level, 255)
    planes = (red, -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1], blue)
    for plane in planes:
        room = np.where(plane > 0, 255 - level, level)
        np.minimum(share, room / np.maximum(np.abs(plane), 1e-6), out=share)
    coloured = np.empty((*gray.shape, 3), np.uint8)
    for channel, plane in enumerate(planes):
        # Half a level, so that what is cut to a whole number is rounded.
        coloured[..., channel] = level + share * plane + 0.5
    return coloured
