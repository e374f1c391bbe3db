"""What one way of saying which thing is meant becomes in another, where a model lacks the first."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, UInt8


def strokes(
    scribbles: UInt8[np.ndarray, "h w"], most: int
) -> tuple[Float32[np.ndarray, "k 2"], UInt8[np.ndarray, " k"]]:
    """Strokes as points: centres of pixels spread evenly over those of each side.

    Args:
        scribbles: 1 = in, 0 = out, 255 = unknown.
        most: So many points of a side; fewer of one with fewer pixels.

    Returns:
        x and y of each point in pixels, and 1 (in) or 0 (out).
    """
    points, labels = [], []
    for side in (1, 0):
        rows, columns = np.nonzero(scribbles == side)
        if len(rows):
            count = min(most, len(rows))
            at = ((np.arange(count) + 0.5) * len(rows) / count).astype(np.int64)
            points.append(np.stack([columns[at], rows[at]], 1) + 0.5)
            labels += [side] * count
    return np.concatenate(points).astype(np.float32), np.array(labels, np.uint8)


def tight_box(mask: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, " 4"]:
    """Xyxy of a mask that is not empty, half-open, in pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
