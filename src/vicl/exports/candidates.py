"""Masks of a segmenter as an answer, so that every format writes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32

from vicl.engine import Candidates
from vicl.exports.answers import Answer
from vicl.exports.masks import mask_image


def as_answer(found: Candidates, name: str = "object") -> Answer:
    """The best candidate, the others as its alternatives.

    Args:
        found: At least one.
        name: What it is called.

    Raises:
        ValueError: If there is none.
    """
    if not len(found):
        raise ValueError("candidates: got none, expected at least one")
    first, *others = [
        _answer(mask, np.broadcast_to(score, mask.shape), name)
        for mask, score in zip(found.masks, found.scores, strict=True)
    ]
    return replace(first, alternatives=tuple(others))


def all_as_answer(found: Candidates, name: str = "object") -> Answer:
    """All masks in one answer, each an object of its own.

    Where masks overlap the smaller one is on top, as a part is on its whole; what is wholly
    covered by smaller ones is not shown.

    Args:
        found: Any number; all of one size.
        name: What they are called.
    """
    size = found.masks.shape[1:]
    objects, scores = np.zeros(size, np.int32), np.ones(size, np.float32)
    areas = found.masks.sum((1, 2))
    for number, index in enumerate(np.argsort(-areas, kind="stable"), start=1):
        objects[found.masks[index]] = number
        scores[found.masks[index]] = found.scores[index]
    return replace(_answer(objects > 0, scores, name), objects=objects)


def _answer(mask: Bool[np.ndarray, "h w"], score: Float32[np.ndarray, "h w"], name: str) -> Answer:
    numbers = mask.astype(np.uint8)
    picture = mask_image(numbers, classes=(name,))
    return Answer(picture, confidence=score, mask=numbers, classes=(name,))
