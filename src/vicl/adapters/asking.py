"""Candidates of what a model found by name, chosen among by whatever else is said."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32

from vicl.engine import Candidates, MaskPrompt
from vicl.metrics import box_iou
from vicl.prompt import SCRIBBLE_UNKNOWN
from vicl.tasks.boxes import mask_box


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
        fits.append(box_iou(mask_box(mask), prompt.box.tolist()))
    return float(np.prod(fits))
