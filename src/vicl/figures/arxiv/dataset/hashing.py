"""Hashes of pictures that say whether two are one picture: of its pixels, and of its looks.

A *look* is what is hashed of a picture: the whole of it; what is inside a margin of one colour
where it has one, so that a page's white space and a frame make no difference; and the middle of
that, without a fortieth on each side, so that a picture whose edges were cut is like one of the
looks of the whole picture. Of each look there are two hashes of different kinds:

- `phash`, 64 bit: signs of the discrete cosine transform of its grey values at 32 x 32, at the 8 x
  8 frequencies above the lowest (C. Zauner, "Implementation and Benchmarking of Perceptual Image
  Hash Functions", 2010, section 3.1.1). There a bit says whether a coefficient is above the median
  of all; here whether it is above zero, which is about the median, so that a mirrored picture has
  the same hash but for the bits of odd horizontal frequencies.
- `gradients`, 1024 bit: where grey values rise or fall between neighbours at 16 x 16, along rows
  and along columns (N. Krawetz, "Kind of Like That", 2013: the difference hash). There a bit says
  whether a value is less than its neighbour, which on flat ground is noise; here each step is a
  rise, a fall or neither.

Looks whose steps are nearly all neither say nothing, and are not hashed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8, UInt64
from PIL import Image, ImageChops

from vicl.images import to_rgb

_GREY: Final = 32
_FREQUENCIES: Final = np.arange(1, 9)
_COSINES: Final = np.cos(
    np.pi * (2 * np.arange(_GREY)[None] + 1) * _FREQUENCIES[:, None] / (2 * _GREY)
)
_CELLS: Final = 16
_STEP: Final = 4
"""Grey levels, of 255, above which neighbours differ."""

_MARGIN: Final = 12
"""Levels, of 255, by which a margin may differ from its corner."""

_EDGE: Final = 1 / 40
"""Of the width and height, on each side."""

MOST_LOOKS: Final = 3

_LEAST_STEPS: Final = 16
"""Rises and falls, of 512 places, without which a look says nothing."""

GRADIENT_BYTES: Final = 4 * _CELLS * _CELLS // 8
"""Of `gradients`: four planes of 16 x 16 bits: rises along rows, falls along rows, and likewise
along columns."""

_ODD: Final = int(sum(1 << (63 - bit) for bit in range(64) if bit % 2 == 0))
"""The bits of `phash` that a mirror turns over: those of horizontal frequencies 1, 3, 5, 7."""

_REVERSED: Final = np.packbits(
    np.unpackbits(np.arange(1 << _CELLS, dtype=">u2").view(np.uint8).reshape(-1, 2), axis=1)[
        :, ::-1
    ],
    axis=1,
).view(">u2")[:, 0]
"""A row of 16 bits from right to left."""


class Look(NamedTuple):
    """The hashes of a look.

    Attributes:
        phash: 64 bits.
        gradients: `GRADIENT_BYTES`.
    """

    phash: int
    gradients: bytes


@dataclass(frozen=True)
class Hashes:
    """The hashes of a picture.

    Attributes:
        pixels: SHA-256 of its size and its RGB pixels, in hex: of files of one picture the same.
        looks: `MOST_LOOKS` at most; none of a picture that is too plain to be told from others.
    """

    pixels: str
    looks: tuple[Look, ...]


def hash_picture(picture: Image.Image) -> Hashes:
    """Hash a picture.

    Args:
        picture: In any mode; what is transparent counts as :func:`vicl.images.to_rgb` has it.
    """
    image = to_rgb(picture)
    pixels = hashlib.sha256(f"{image.width} {image.height}\n".encode())
    pixels.update(image.tobytes())
    inner = _inside(image)
    shown = [image, _middle(image)] if inner is None else [image, inner, _middle(inner)]
    looks = (_look(part) for part in shown)
    return Hashes(pixels.hexdigest(), tuple(look for look in looks if look is not None))


def _middle(image: Image.Image) -> Image.Image:
    """What is left without the edges; a picture of a few pixels has none."""
    across, down = round(image.width * _EDGE), round(image.height * _EDGE)
    return image.crop((across, down, image.width - across, image.height - down))


def _inside(image: Image.Image) -> Image.Image | None:
    """What is inside a margin of the colour of the corner; None where there is no margin."""
    corner = image.getpixel((0, 0))
    apart = ImageChops.difference(image, Image.new("RGB", image.size, corner))
    red, green, blue = apart.split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    box = most.point([0] * (_MARGIN + 1) + [255] * (255 - _MARGIN)).getbbox()
    if box is None or box == (0, 0, *image.size):
        return None
    if min(box[2] - box[0], box[3] - box[1]) < _CELLS:
        return None
    return image.crop(box)


def _look(image: Image.Image) -> Look | None:
    grey = image.convert("L")
    gradients = np.concatenate([_steps(grey, along=1), _steps(grey, along=0)])
    if np.count_nonzero(gradients) < _LEAST_STEPS:
        return None
    values = np.asarray(grey.resize((_GREY, _GREY), Image.Resampling.BOX), np.float64)
    signs = np.packbits(_COSINES @ values @ _COSINES.T > 0)
    return Look(int.from_bytes(signs.tobytes(), "big"), np.packbits(gradients).tobytes())


def _steps(grey: Image.Image, *, along: int) -> Bool[np.ndarray, "2 16 16"]:
    """Where values rise, and where they fall, along an axis."""
    size = (_CELLS + along, _CELLS + 1 - along)
    values = np.asarray(grey.resize(size, Image.Resampling.BOX), np.int16)
    step = np.diff(values, axis=along)
    return np.stack([step > _STEP, step < -_STEP])


def mirrored_phash(codes: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """`phash` of the pictures that are mirrored left to right."""
    return codes ^ np.uint64(_ODD)


def mirrored_gradients(gradients: UInt8[np.ndarray, "n 128"]) -> UInt8[np.ndarray, "n 128"]:
    """`gradients` of the pictures that are mirrored left to right."""
    rows = gradients.reshape(-1, 4, _CELLS * 2).view(">u2")
    turned: UInt8[np.ndarray, "n 128"] = (
        _REVERSED[rows[:, [1, 0, 2, 3]]]  # what rose along rows falls
        .reshape(len(gradients), 4 * _CELLS)
        .view(np.uint8)
    )
    return turned
