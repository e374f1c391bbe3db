"""What one way of saying which thing is meant becomes in another, where a model lacks the first."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from vicl.engine import Candidates, MaskPrompt
from vicl.prompt import SCRIBBLE_UNKNOWN


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


def things(
    masks: Bool[np.ndarray, "n h w"], scores: Float32[np.ndarray, " n"], prompt: MaskPrompt
) -> Candidates:
    """The things that a model found by name, as candidates: all of them as one, then each.

    Where the prompt also says where, those that fit it best come first, and what does not fit
    counts for less.

    Args:
        masks: Of each thing; there may be none, and then there is no candidate.
        scores: How sure the model is, in [0, 1].
        prompt: What was asked.
    """
    if len(masks) > 1:
        masks = np.concatenate([masks.any(0, keepdims=True), masks])
        scores = np.concatenate([scores.max(keepdims=True), scores])
    there = np.asarray(masks.any((1, 2)))
    masks, scores = masks[there], scores[there]
    scores = scores * np.array([_fit(mask, prompt) for mask in masks], np.float32)
    order = np.argsort(-scores, kind="stable")
    return Candidates(masks[order], scores[order].astype(np.float32))


def _fit(mask: Bool[np.ndarray, "h w"], prompt: MaskPrompt) -> float:
    """How well a mask fits what is said beside the name, in [0, 1]; 1 if nothing is."""
    fits = [1.0]
    if len(prompt.points):
        columns, rows = prompt.points.astype(np.int64).T
        fits.append(float((mask[rows, columns] == prompt.labels).mean()))
    if prompt.scribbles is not None:
        drawn = prompt.scribbles != SCRIBBLE_UNKNOWN
        fits.append(float((mask[drawn] == prompt.scribbles[drawn]).mean()))
    if prompt.mask is not None:
        fits.append(float((mask & prompt.mask).sum() / (mask | prompt.mask).sum()))
    if prompt.box is not None:
        fits.append(_overlap(tight_box(mask), prompt.box))
    return float(np.prod(fits))


def _overlap(one: Float32[np.ndarray, " 4"], other: Float32[np.ndarray, " 4"]) -> float:
    """IoU of two boxes."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    both = float(np.clip(sides, 0, None).prod())
    return both / float((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - both)
