"""Cycle spinning: a prompt asked again with its pictures moved by parts of a patch, and averaged.

What a model of patches draws depends on where a picture's edges fall in its patches.  The mean over
moves of less than a patch, each moved back, does so less.

Source: Coifman and Donoho 1995, Translation-invariant de-noising, section 2, there for wavelets.
Differs: what leaves a picture at one edge does not come in at the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Move = tuple[int, int]
"""Rows down and columns to the right, in pixels; not negative."""


def moves_within(patch_size: int, *, spins: int) -> list[Move]:
    """The moves of `spins` steps along each axis, evenly over a patch; the first is none at all.

    Raises:
        ValueError: If `spins` is not 1 to `patch_size`.
    """
    if not 1 <= spins <= patch_size:
        raise ValueError(
            f"spins: got {spins}, expected 1 to {patch_size}, the pixels along a side of a patch"
        )
    steps = [patch_size * step // spins for step in range(spins)]
    return [(down, right) for down in steps for right in steps]


def moved(picture: Float[Tensor, "c h w"], by: Move) -> Float[Tensor, "c h w"]:
    """A picture moved inside its frame; its upper and left edge are repeated."""
    rows, columns = (
        (torch.arange(length) - step).clamp(min=0)
        for length, step in zip(picture.shape[-2:], by, strict=True)
    )
    return picture[:, rows][:, :, columns]


def mean_of_moved(
    values: Sequence[Float[Tensor, "*c h w"]], moves: Sequence[Move]
) -> Float[Tensor, "*c h w"]:
    """The mean of what stands in a cell after each move, moved back.

    At the lower and right edge it is the mean of those whose move left it inside the cell.

    Args:
        values: One for each move.
        moves: Their first is none at all, so that every place has a value.
    """
    total = torch.zeros_like(values[0])
    count = values[0].new_zeros(values[0].shape[-2:])
    for one, (down, right) in zip(values, moves, strict=True):
        height, width = one.shape[-2:]
        part = (slice(max(0, height - down)), slice(max(0, width - right)))
        total[..., *part] += one[..., down:, right:]
        count[part] += 1
    return total / count
