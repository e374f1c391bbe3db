"""How far a query looks like what the examples showed: without that, no answer is to be trusted.

Colours and textures of the query's pixels are compared with the nearest of the examples' own, and
the other way round: where the query holds little of what the examples showed, it is strange too,
though each of its pixels may be like one of theirs by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from vicl.encoders.handmade import blur, to_lab
from vicl.models.analogies.shapes import RGB, RGBs, Samples

SIDE: Final = 256
"""Longest side, in pixels, of the images that are looked at here."""

_STEP: Final = 2
"""Every so many-th pixel of a row, and row, is looked at."""

_COLOUR: Final = 0.3
"""Distance in colour (CIELAB over 50) that is one: 15 of CIELAB's units."""

_TEXTURE: Final = 0.25
"""Logarithm of how much lightness varies from pixel to pixel: difference that is one."""

_QUIET: Final = 0.01
"""Lightness that varies less than this counts as flat."""

_SAMPLES: Final = 4096
"""So many pixels of the examples, and of a query, are kept."""

_PARTS: Final = 4
"""For the distances within the examples, parts of a grid of so many a side are held out."""

_USUAL: Final = 0.9
"""Quantile of the held-out distances up to which all is familiar, where it is over one."""

_ALIKE: Final = (0.2, 0.7)
"""How alike a query and the examples are, both ways, up to which the query is strange as a whole,
and from which it is not. Of 30 pairs of photographs of one kind most are at 0.7 or more; noise,
drawings of other things and a gray copy of a plain coloured scene lie near 0.2 or below."""


@dataclass(frozen=True, eq=False)
class Appearance:
    """What the examples look like.

    Attributes:
        samples: Features of their pixels.
        usual: Distance to the nearest sample that is ordinary among them, at least one.
    """

    samples: Samples
    usual: float


def remember(inputs: RGBs, *, seed: int) -> Appearance:
    """Take samples of the examples' inputs, which are no longer than `SIDE`."""
    looks = [_features(image) for image in inputs]
    parts = np.concatenate([_parts(look.shape[:2]).ravel() for look in looks])
    samples = np.concatenate([_rows(look) for look in looks])
    chosen = _some(len(samples), seed)
    samples, parts = samples[chosen], parts[chosen]
    apart = [np.ones(1)]
    for part in np.flatnonzero(np.bincount(parts)):
        held_out = parts == part
        if not held_out.all():
            apart.append(_nearest(samples[held_out], samples[~held_out]))
    return Appearance(samples, max(1.0, float(np.quantile(np.concatenate(apart), _USUAL))))


def familiarity(shown: Appearance, query: RGB, *, seed: int) -> Float[np.ndarray, "rows columns"]:
    """Tell how familiar a query, no longer than `SIDE`, is around each `_STEP`-th pixel, [0, 1].

    1 where it looks like the examples, near 0 where it lies far outside. A pixel is less familiar
    in a picture that is strange as a whole.
    """
    look = _features(query)
    rows = _rows(look)
    alone = _share(_nearest(rows, shown.samples), shown.usual)
    again = _share(_nearest(shown.samples, rows[_some(len(rows), seed)]), shown.usual)
    whole = np.interp(alone.mean() * again.mean(), _ALIKE, (0, 1))
    return np.asarray(alone * whole, np.float32).reshape(look.shape[:2])


def _share(distances: Float[np.ndarray, " n"], usual: float) -> Float[np.ndarray, " n"]:
    return np.asarray(np.exp(-np.maximum(distances / usual - 1, 0)))


def _nearest(
    asked: Float[np.ndarray, "n f"], known: Float[np.ndarray, "m f"]
) -> Float[np.ndarray, " n"]:
    """Distance of each to the nearest known one."""
    from scipy.spatial import KDTree

    return np.asarray(KDTree(known).query(asked)[0])


def _some(count: int, seed: int) -> Int[np.ndarray, " n"]:
    """Places of `_SAMPLES`, drawn at random, or of all where there are no more."""
    if count <= _SAMPLES:
        return np.arange(count)
    return np.random.default_rng(seed).choice(count, _SAMPLES, replace=False)


def _features(image: RGB) -> Float[np.ndarray, "rows columns 4"]:
    """Colour around every `_STEP`-th pixel, and how much lightness varies from pixel to pixel."""
    lab = to_lab(image)
    light = lab[..., 0]
    fine = blur((light - blur(light, 1.0)) ** 2, 3.0)
    colour = blur(lab, 1.5)[::_STEP, ::_STEP] / _COLOUR
    texture = np.log(np.sqrt(fine[::_STEP, ::_STEP]) + _QUIET) / _TEXTURE
    return np.concatenate([colour, texture[..., None]], axis=-1)


def _rows(look: Float[np.ndarray, "h w 4"]) -> Samples:
    return look.reshape(-1, look.shape[-1])


def _parts(size: tuple[int, ...]) -> Int[np.ndarray, "h w"]:
    """The number of the part of the grid in which each pixel lies."""
    rows, columns = (np.arange(length) * _PARTS // length for length in size)
    return np.asarray(rows[:, None] * _PARTS + columns)
