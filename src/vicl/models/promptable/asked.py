"""From a prompt in pixels to the guide of the network; scribbles become points."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.models.matching.view import FINE
from vicl.models.promptable.guidance import Guide
from vicl.prompt import MaskPrompt

SCRIBBLED: Final = 16
"""Points, at most, that stand for the scribbles of a label."""

MOST: Final = 64
"""Points of a label, at most, that the network is shown."""

_LOOKED_AT: Final = 1024
"""Pixels of a scribble, at most, among which its points are chosen."""


def guide_of(prompt: MaskPrompt, size: tuple[int, int]) -> Guide:
    """A prompt in shares of its image, as a batch of one.

    Args:
        prompt: Valid, in pixels.
        size: (height, width) of the image.
    """
    height, width = size
    points, labels = [], []
    for label in (1, 0):
        told = [far_apart(prompt.points[prompt.labels == label], MOST)]
        if prompt.scribbles is not None:
            told.append(spread_points(prompt.scribbles == label, SCRIBBLED))
        points += told
        labels += [label] * sum(map(len, told))
    at, of = np.concatenate(points) / (width, height), np.array(labels, np.int64)
    if not len(at):
        at, of = np.zeros((1, 2)), np.array([-1])
    box = np.full(4, -1.0)
    if prompt.box is not None:
        box = prompt.box / (width, height, width, height)
    earlier = torch.full((FINE, FINE), -1.0)
    if prompt.mask is not None:
        earlier = shrunk_mask(prompt.mask)
    return Guide(
        torch.from_numpy(at).float()[None],
        torch.from_numpy(of)[None],
        torch.from_numpy(box).float()[None],
        earlier[None],
    )


def spread_points(where: Bool[np.ndarray, "h w"], most: int) -> Float32[np.ndarray, "k 2"]:
    """Points (x, y), far from one another, that stand for the pixels of a scribble."""
    rows, columns = np.nonzero(where)
    every = max(1, -(-len(rows) // _LOOKED_AT))
    pixels = np.stack([columns, rows], 1)[::every] + 0.5
    return far_apart(pixels.astype(np.float32), most)


def far_apart(points: Float32[np.ndarray, "n 2"], most: int) -> Float32[np.ndarray, "k 2"]:
    """Some of the points: the one nearest to their mean, then always the farthest from those.

    All of them where they are no more than `most`; of equal ones one, where they are more.

    Source: Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985.
    """
    if len(points) <= most:
        return points
    chosen = [int(((points - points.mean(0)) ** 2).sum(1).argmin())]
    far = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < most and far.max() > 0:
        chosen.append(int(far.argmax()))
        far = np.minimum(far, ((points - points[chosen[-1]]) ** 2).sum(1))
    return points[chosen]


def shrunk_mask(mask: Bool[np.ndarray, "h w"]) -> Float[Tensor, "f f"]:
    """Share of each fine place that is in."""
    # By pixels of a finer grid, not by all: a large photograph's mask is not held in floats.
    rows, columns = (np.arange(4 * FINE) * side // (4 * FINE) for side in mask.shape)
    seen = torch.from_numpy(mask[np.ix_(rows, columns)]).float()
    return F.avg_pool2d(seen[None, None], 4)[0, 0]
