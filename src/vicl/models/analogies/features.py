"""What is known of an image before anything is learned: colours, texture, saliency, shape.

Masks are answered at a working size to which every image is stretched, so that one place means the
same in all of them.  Arrays are float32, channels last; colours are CIELAB over 50.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Int

WORKING_SIZE: Final = 128
"""Side of the square that images are stretched to, in pixels."""

GRID: Final = 32
"""Descriptors stand on a grid of so many rows and columns."""

_ORIENTATIONS: Final = 8
_SEGMENTS: Final = 200


@dataclass(frozen=True, eq=False)
class View:
    """An image at the working size, described.

    Attributes:
        pixels: Appearance of each pixel: colour at several scales, relative to the image's mean,
            gradients, texture, saliency.
        colours: The colour part alone, for learning within one image.
        inside: How little a pixel's region is connected to the border, [0, 1].
        contrast: How much its region differs from the background around it, [0, 1].
        shapes: Oriented gradients around each grid point.
        tints: Colours around each grid point.
        histogram: Share of the pixels in each bin of colour; sums to 1.
    """

    pixels: Float[np.ndarray, "s s f"]
    colours: Float[np.ndarray, "s s c"]
    inside: Float[np.ndarray, "s s"]
    contrast: Float[np.ndarray, "s s"]
    shapes: Float[np.ndarray, "g g d"]
    tints: Float[np.ndarray, "g g e"]
    histogram: Float[np.ndarray, " b"]


def describe(image: Float[np.ndarray, "s s 3"]) -> View:
    """Describe an RGB image in [0, 1] of the working size."""
    lab = to_lab(image)
    inside, contrast = saliency(lab)
    shapes, tints = descriptors(lab)
    bins, _ = np.histogramdd(
        np.clip(lab.reshape(-1, 3), [0, -1, -1], [2, 1, 1]),
        bins=8,
        range=[(0, 2), (-1, 1), (-1, 1)],
    )
    pixels = [*_appearance(lab), inside[..., None], contrast[..., None]]
    return View(
        pixels=np.concatenate(pixels, axis=-1, dtype=np.float32),
        colours=np.concatenate([blur(lab, sigma) for sigma in (1.0, 3.0, 8.0)], axis=-1),
        inside=inside,
        contrast=contrast,
        shapes=shapes,
        tints=tints,
        histogram=(bins.ravel() / lab[..., 0].size).astype(np.float32),
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


def saliency(
    lab: Float[np.ndarray, "h w 3"],
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
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
        return np.zeros(segments.shape, np.float32), np.zeros(segments.shape, np.float32)
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
    return ((1 - background)[segments].astype(np.float32), contrast[segments].astype(np.float32))


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


def descriptors(
    lab: Float[np.ndarray, "s s 3"],
) -> tuple[Float[np.ndarray, "g g d"], Float[np.ndarray, "g g e"]]:
    """Histograms of oriented gradients, and colours, in 3x3 cells around each grid point.

    Source: Dalal, Triggs, CVPR 2005 (gradients without sign, clipped norm), sampled densely.
    """
    size = lab.shape[0]
    step = size / GRID
    down, across = gradient(lab[..., 0], 1.0)
    magnitude = np.hypot(down, across)
    position = np.arctan2(down, across) % np.pi / np.pi * _ORIENTATIONS
    lower = np.floor(position).astype(np.int64) % _ORIENTATIONS
    upper = (lower + 1) % _ORIENTATIONS
    fraction = (position - np.floor(position)).astype(np.float32)
    votes = np.zeros((size, size, _ORIENTATIONS), np.float32)
    np.put_along_axis(votes, lower[..., None], (magnitude * (1 - fraction))[..., None], axis=-1)
    np.put_along_axis(votes, upper[..., None], (magnitude * fraction)[..., None], axis=-1)
    votes, tints = blur(votes, 0.8 * step), blur(lab, 0.8 * step)
    centres = (np.arange(GRID) + 0.5) * step - 0.5
    shapes, colours = [], []
    for shift_y in (-1, 0, 1):
        for shift_x in (-1, 0, 1):
            rows, columns = (
                np.clip(np.rint(centres + shift * 1.6 * step), 0, size - 1).astype(np.int64)
                for shift in (shift_y, shift_x)
            )
            shapes.append(votes[np.ix_(rows, columns)])
            colours.append(tints[np.ix_(rows, columns)])
    shape = np.concatenate(shapes, axis=-1)
    shape = shape / (np.linalg.norm(shape, axis=-1, keepdims=True) + np.float32(0.15))
    return np.minimum(shape, np.float32(0.3)), np.concatenate(colours, axis=-1)
