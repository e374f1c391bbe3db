"""Where an image continues in another: dense correspondence by a smoothed cost volume.

For each grid point of the query and each shift, the cost is how unlike the example is at the
shifted place; costs are smoothed over the grid, so that neighbours move together, and the example's
mask is carried over by a soft vote of the shifts.

Source: cost-volume filtering, Hosni, Rhemann, Bleyer, Rother, Gelautz, TPAMI 2013, with a Gaussian;
what it does is label transfer, Liu, Yuen, Torralba, "Nonparametric scene parsing", TPAMI 2011.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from jaxtyping import Float

from vicl.models.analogies.view import GRID, View

REACH: Final = 8
"""Longest shift, in grid steps (a quarter of the image)."""

_STIFFNESS: Final = 0.1 / 0.3**2
"""Cost of a shift by the whole image's side."""

_TEMPERATURE: Final = 0.03


def transfer(
    example: View,
    mask: Float[np.ndarray, "g g"],
    query: View,
    *,
    colour: float,
    smoothing: float,
) -> Float[np.ndarray, "g g"]:
    """Carry a mask of the example over to the query.

    Args:
        example: The image that the mask belongs to.
        mask: In [0, 1], on the grid.
        query: The image to carry it to.
        colour: Weight of colour against shape in the cost.
        smoothing: Sigma of the Gaussian over the grid, in steps: how stiffly neighbours move.

    Returns:
        The mask on the query's grid, in [0, 1].
    """
    from scipy import ndimage

    costs = _costs(example, query, colour)
    shifts = np.arange(-REACH, REACH + 1)
    rows = np.arange(GRID)[None] + shifts[:, None]
    y = np.clip(rows, 0, GRID - 1)
    beyond = (rows < 0) | (rows >= GRID)  # (shifts, grid)
    # costs: query row, query column, example row, example column -> shift, shift, row, column
    here = np.arange(GRID)
    volume = costs[
        here[None, None, :, None],
        here[None, None, None, :],
        y[:, None, :, None],
        y[None, :, None, :],
    ]
    outside = beyond[:, None, :, None] | beyond[None, :, None, :]
    volume = np.where(outside, np.maximum(volume, np.quantile(costs, 0.6)), volume)
    volume = ndimage.gaussian_filter(volume, (0, 0, smoothing, smoothing), mode="nearest")
    distance = (shifts[:, None] ** 2 + shifts[None] ** 2) / GRID**2
    volume += (_STIFFNESS * distance)[:, :, None, None]
    votes = np.exp(-(volume - volume.min(axis=(0, 1))) / _TEMPERATURE)
    votes /= votes.sum(axis=(0, 1))
    moved = mask[y[:, None, :, None], y[None, :, None, :]]  # (shift, shift, row, column)
    carried = (votes * moved).sum(axis=(0, 1))
    return np.asarray(carried, np.float32)


def dissimilarity(example: View, query: View) -> float:
    """Mean cost of each point's best match anywhere; near 0 for near twins."""
    costs = _costs(example, query, 3.0).reshape(GRID**2, GRID**2) + _far()
    return float(costs.min(axis=1).mean())


@lru_cache(maxsize=1)
def _far() -> Float[np.ndarray, "n n"]:
    """What a match costs for being elsewhere, of every two grid points: the same for all images."""
    y, x = np.mgrid[:GRID, :GRID].reshape(2, -1) / GRID
    far: Float[np.ndarray, "n n"] = ((y[:, None] - y) ** 2 + (x[:, None] - x) ** 2) / 0.5**2
    far.setflags(write=False)
    return far


def _costs(example: View, query: View, colour: float) -> Float[np.ndarray, "g g g g"]:
    """Squared distance of descriptors between every two grid points, query first."""
    scale = np.float32(np.sqrt(colour / 9))
    known, asked = (
        np.concatenate([view.shapes, view.tints * scale], axis=-1).reshape(GRID**2, -1)
        for view in (example, query)
    )
    squares = (asked**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2 * asked @ known.T
    return np.asarray(np.maximum(squares, 0).reshape(GRID, GRID, GRID, GRID))
