"""What is known of an image before anything is learned: colours, texture, saliency, shape.

Arrays are float32, channels last; colours are CIELAB over 50.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vicl.engine import Features

_STEP: Final = 4
"""Descriptors stand so many pixels apart."""

_ORIENTATIONS: Final = 8
_SEGMENTS: Final = 200

SHAPES: Final = 9 * _ORIENTATIONS
"""So many channels of the coarse level are oriented gradients; colours follow."""


class HandMade:
    """Features that nobody trained, at a pixel and around every fourth one.

    The first level has a pixel's Lab, the same at several scales and relative to the image's mean,
    gradients, texture, and last how it stands out: how little its region is connected to the
    border, and how much it differs from the background around it, each in [0, 1].  The second has
    oriented gradients and then colours, in 3x3 cells around each point.  Of the whole image it
    gives the share of the pixels in each of 512 bins of colour.
    """

    name = "handmade"
    weights_hash: str | None = None
    strides: tuple[int, ...] = (1, _STEP)
    channels: tuple[int, ...] = (31, SHAPES + 9 * 3)

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Features:
        """See :meth:`vicl.engine.Encoder.encode`."""
        height, width = image.shape[2:]
        if height % _STEP or width % _STEP:
            raise ValueError(
                f"image: got {height}x{width} pixels, expected sides that are multiples of {_STEP}"
            )
        each = [_described(one) for one in image.detach().permute(0, 2, 3, 1).cpu().numpy()]
        pixels, points, whole = (
            torch.from_numpy(np.stack(part)).to(image.device) for part in zip(*each, strict=True)
        )
        return Features((pixels.permute(0, 3, 1, 2), points.permute(0, 3, 1, 2)), whole)


def _described(
    image: Float[np.ndarray, "h w 3"],
) -> tuple[Float[np.ndarray, "h w f"], Float[np.ndarray, "gh gw d"], Float[np.ndarray, " n"]]:
    lab = to_lab(np.ascontiguousarray(image))
    bins, _ = np.histogramdd(
        np.clip(lab.reshape(-1, 3), [0, -1, -1], [2, 1, 1]),
        bins=8,
        range=[(0, 2), (-1, 1), (-1, 1)],
    )
    return (
        np.concatenate([*_appearance(lab), *_saliency(lab)], axis=-1, dtype=np.float32),
        _descriptors(lab),
        (bins.ravel() / lab[..., 0].size).astype(np.float32),
    )


def to_lab(image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """CIELAB over 50: lightness in [0, 2], a and b about [-2, 2]."""
    from skimage.color import rgb2lab

    return np.asarray(rgb2lab(image), np.float32) / np.float32(50)


def blur(values: Float[np.ndarray, "h w *c"], sigma: float) -> Float[np.ndarray, "h w *c"]:
    """Gaussian over the first two axes."""
    from scipy import ndimage

    sigmas = (sigma, sigma) + (0,) * (values.ndim - 2)
    blurred: Float[np.ndarray, "h w *c"] = ndimage.gaussian_filter(
        values, sigmas, mode="nearest", truncate=3
    )
    return blurred


def places(height: int, width: int) -> Float[np.ndarray, "h w 2"]:
    """Row and column of each pixel's centre, in (0, 1)."""
    y, x = np.mgrid[:height, :width]
    return np.stack([(y + 0.5) / height, (x + 0.5) / width], axis=-1).astype(np.float32)


def _appearance(lab: Float[np.ndarray, "h w 3"]) -> list[Float[np.ndarray, "h w _"]]:
    flat = lab.reshape(-1, 3)
    found = [lab, *(blur(lab, sigma) for sigma in (2.0, 5.0, 12.0))]
    found.append((blur(lab, 1.0) - flat.mean(axis=0)) / (flat.std(axis=0) + np.float32(0.1)))
    found.append(blur(lab, 2.0) - blur(lab, 16.0))
    light = lab[..., 0]
    for sigma in (1.0, 2.5):
        down, across = gradient(light, sigma)
        magnitude = np.hypot(down, across)
        # Structure tensor: how strong the texture is, and which way it runs.
        rows, columns, mixed = (blur(v, 4.0) for v in (down * down, across * across, down * across))
        energy = rows + columns + np.float32(1e-5)
        found.append(
            np.stack(
                [
                    blur(magnitude, sigma),
                    blur(magnitude, 4.0),
                    np.log(energy),
                    (columns - rows) / energy,
                    2 * mixed / energy,
                ],
                axis=-1,
            )
        )
    spread = np.sqrt(np.maximum(blur(light * light, 3.0) - blur(light, 3.0) ** 2, 0))
    found.append(spread[..., None])
    return found


def gradient(
    values: Float[np.ndarray, "h w"], sigma: float
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Derivatives of a Gaussian, down and across."""
    from scipy import ndimage

    down, across = (
        ndimage.gaussian_filter(values, sigma, order=order, mode="nearest")
        for order in ((1, 0), (0, 1))
    )
    return down, across


def _saliency(lab: Float[np.ndarray, "h w 3"]) -> list[Float[np.ndarray, "h w 1"]]:
    """Find what stands out: not connected to the border, and unlike the background near it.

    Returns:
        One minus the probability of being background, and the contrast to the background, each
        in [0, 1].

    Source: Zhu, Liang, Wei, Sun, "Saliency optimization from robust background detection",
    CVPR 2014, equations 2-5. Differs: lengths count segments, contrast is scaled to the image.
    """
    from skimage.segmentation import slic

    segments = slic(
        lab.astype(np.float64) * 5, _SEGMENTS, compactness=10, start_label=0, channel_axis=-1
    )
    count = int(segments.max()) + 1
    if count < 2:
        return [np.zeros((*segments.shape, 1), np.float32)] * 2
    colours = _segment_means(lab * 5, segments, count)
    centres = _segment_means(places(*segments.shape), segments, count)
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    sides = [segments[0], segments[-1], segments[:, 0], segments[:, -1]]
    outermost = np.zeros(count)
    outermost[np.unique(np.concatenate(sides))] = 1
    alike = np.exp(-(_geodesic(segments, apart) ** 2) / 2)
    connection = (alike @ outermost) / np.sqrt(alike.sum(axis=1))
    background = 1 - np.exp(-(connection**2) / 2)
    near = np.exp(-((centres[:, None] - centres[None]) ** 2).sum(axis=-1) / (2 * 0.25**2))
    contrast = (apart * near * background).sum(axis=1) / near.sum(axis=1)
    contrast /= contrast.max() + 1e-6
    return [of[segments].astype(np.float32)[..., None] for of in (1 - background, contrast)]


def _segment_means(
    values: Float[np.ndarray, "h w c"], segments: Int[np.ndarray, "h w"], count: int
) -> Float[np.ndarray, "n c"]:
    index = segments.ravel()
    sizes = np.maximum(np.bincount(index, minlength=count), 1)
    sums = [
        np.bincount(index, values[..., channel].ravel(), count)
        for channel in range(values.shape[-1])
    ]
    return np.stack(sums, axis=1) / sizes[:, None]


def _geodesic(
    segments: Int[np.ndarray, "h w"], apart: Float[np.ndarray, "n n"]
) -> Float[np.ndarray, "n n"]:
    """Least sum of colour steps on a way from segment to segment."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    pairs = np.concatenate(
        [
            np.stack([first[first != second], second[first != second]], axis=1)
            for first, second in (
                (segments[:, :-1], segments[:, 1:]),
                (segments[:-1], segments[1:]),
            )
        ]
    )
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    # A small step is free, so that a smooth gradient does not separate its ends.
    steps = np.maximum(apart[pairs[:, 0], pairs[:, 1]] - 0.3, 1e-6)
    graph = coo_matrix((steps, (pairs[:, 0], pairs[:, 1])), shape=apart.shape).tocsr()
    distances: Float[np.ndarray, "n n"] = dijkstra(graph, directed=False)
    return distances


def _descriptors(lab: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "gh gw d"]:
    """Histograms of oriented gradients, and colours, in 3x3 cells around each point.

    Source: Dalal, Triggs, CVPR 2005 (gradients without sign, clipped norm), sampled densely.
    """
    down, across = gradient(lab[..., 0], 1.0)
    magnitude = np.hypot(down, across)
    position = np.arctan2(down, across) % np.pi / np.pi * _ORIENTATIONS
    lower = np.floor(position).astype(np.int64) % _ORIENTATIONS
    upper = (lower + 1) % _ORIENTATIONS
    fraction = (position - np.floor(position)).astype(np.float32)
    votes = np.zeros((*magnitude.shape, _ORIENTATIONS), np.float32)
    np.put_along_axis(votes, lower[..., None], (magnitude * (1 - fraction))[..., None], axis=-1)
    np.put_along_axis(votes, upper[..., None], (magnitude * fraction)[..., None], axis=-1)
    votes, tints = blur(votes, 0.8 * _STEP), blur(lab, 0.8 * _STEP)
    rows, columns = (
        [
            np.clip(np.rint(np.arange((_STEP - 1) / 2, side, _STEP) + shift), 0, side - 1)
            for shift in (-1.6 * _STEP, 0, 1.6 * _STEP)
        ]
        for side in lab.shape[:2]
    )
    cells = [np.ix_(y.astype(int), x.astype(int)) for y in rows for x in columns]
    shape = np.concatenate([votes[cell] for cell in cells], axis=-1)
    shape = shape / (np.linalg.norm(shape, axis=-1, keepdims=True) + np.float32(0.15))
    return np.concatenate([np.minimum(shape, np.float32(0.3)), *(tints[c] for c in cells)], axis=-1)
