"""How far a query looks like what the examples showed: without that, no answer is to be trusted.

Colours and textures of a query's pixels are compared with the nearest of the examples' own. How far
is far, the examples tell themselves: by the distances of a part of them to all the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from vicl.models.analogies.shapes import RGB, RGBs, Samples

SIDE: Final = 128
"""Longest side, in pixels, of the images that are looked at here."""

_CHANNELS: Final = 4

_SAMPLES: Final = 4096
"""So many pixels of the examples are kept."""

_PARTS: Final = 4
"""For the distances within the examples, parts of a grid of so many a side are held out."""

_USUAL: Final = 0.9
"""Quantile of the held-out distances up to which all is familiar."""

_LEAST: Final = 0.03
"""Smallest distance that counts: JPEG and sensors move colours so far."""

_FALL: Final = 2.0
"""By so many usual distances more, familiarity falls to 1/e."""


@dataclass(frozen=True, eq=False)
class Appearance:
    """What the examples look like.

    Attributes:
        samples: Features of their pixels.
        usual: Distance to the nearest sample that is ordinary among them.
    """

    samples: Samples
    usual: float


def remember(inputs: RGBs, *, seed: int) -> Appearance:
    """Take samples of the examples' inputs, which are no longer than `SIDE`."""
    from scipy.spatial import KDTree

    features = np.concatenate([_features(image).reshape(-1, _CHANNELS) for image in inputs])
    parts = np.concatenate([_parts(image).ravel() for image in inputs])
    if len(features) > _SAMPLES:
        chosen = np.random.default_rng(seed).choice(len(features), _SAMPLES, replace=False)
        features, parts = features[chosen], parts[chosen]
    apart = [np.zeros(1)]
    for part in range(_PARTS**2):
        held_out = parts == part
        if held_out.any() and not held_out.all():
            apart.append(KDTree(features[~held_out]).query(features[held_out])[0])
    usual = float(np.quantile(np.concatenate(apart), _USUAL))
    return Appearance(features, max(usual, _LEAST))


def familiarity(shown: Appearance, query: RGB) -> Float[np.ndarray, "h w"]:
    """Tell for each pixel of a query, no longer than `SIDE`, how familiar it is, [0, 1].

    1 where it looks like the examples, near 0 where it lies far outside. A pixel is less familiar
    in a picture that is strange as a whole: there its colour may be like the examples' by chance.
    """
    from scipy.spatial import KDTree

    features = _features(query)
    distance = KDTree(shown.samples).query(features.reshape(-1, _CHANNELS))[0]
    beyond = np.maximum(distance / shown.usual - 1, 0) / _FALL
    alone = np.exp(-beyond).reshape(query.shape[:2])
    return np.asarray(alone * alone.mean(), np.float32)


def _features(image: RGB) -> Float[np.ndarray, "h w 4"]:
    """Each pixel's colour, a little smoothed, and how much lightness varies around it."""
    from scipy import ndimage

    colour = ndimage.gaussian_filter(image, (1, 1, 0), mode="nearest")
    light = image.mean(axis=-1)
    mean = ndimage.gaussian_filter(light, 2, mode="nearest")
    square = ndimage.gaussian_filter(light**2, 2, mode="nearest")
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    return np.concatenate([colour, spread[..., None]], axis=-1)


def _parts(image: RGB) -> Int[np.ndarray, "h w"]:
    """The number of the part of the grid in which each pixel lies."""
    rows, columns = (np.arange(length) * _PARTS // length for length in image.shape[:2])
    return np.asarray(rows[:, None] * _PARTS + columns)
