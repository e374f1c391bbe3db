"""All masks of an image: asked at a grid of points, duplicates removed."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from vicl.engine import Candidates, MaskPrompt, PromptableImage

_SEEN: Final = 256
"""Longest side at which masks are compared, in pixels."""

_AT_ONCE: Final = 1 << 24
"""Pixels of images that are answered at once: a large one is asked by fewer points."""


class _Passed(NamedTuple):
    """A mask that passed the cuts; not held at its full size."""

    score: float
    prompt: int
    candidate: int
    bits: UInt8[np.ndarray, " m"]


def everything(
    image: PromptableImage,
    *,
    grid: int = 16,
    min_score: float = 0.5,
    min_stability: float = 0.8,
    max_overlap: float = 0.7,
    min_area: float = 0.0005,
    most: int | None = None,
    batch_size: int = 16,
) -> Candidates:
    """The distinct masks of an image, largest score first; there may be none.

    Beside the masks that are given, memory is bounded by the batch.

    Args:
        image: What is asked.
        grid: Points a side, spread evenly.
        min_score: Masks with a lower score are left out, [0, 1].
        min_stability: Likewise, where the segmenter says how stable they are.
        max_overlap: Of two masks whose IoU is larger, the one with the lower score is left out,
            (0, 1].
        min_area: The least share of the image that a mask fills, [0, 1).
        most: How many are given, of the best; None: all.
        batch_size: Points asked at once; fewer of a large image.

    Raises:
        ValueError: If a setting is out of its range, or the segmenter takes no points.

    Source: Kirillov et al., "Segment Anything", ICCV 2023, appendix B. Differs: duplicates are
    told by the IoU of masks, not of their boxes, and no crops are asked again.
    """
    shares = {"min_score": min_score, "min_stability": min_stability, "max_overlap": max_overlap}
    for name, share in (*shares.items(), ("min_area", min_area)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name}: got {share}, expected 0 to 1")
    counts = {"grid": grid, "batch_size": batch_size, "most": 1 if most is None else most}
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}: got {count}, expected at least 1")
    height, width = image.size
    at = (np.arange(grid) + 0.5) / grid
    prompts = [MaskPrompt([(x * width, y * height)]) for y in at for x in at]
    step = max(1, min(batch_size, _AT_ONCE // (height * width)))
    passed: list[_Passed] = []
    for start in range(0, len(prompts), step):
        for index, answer in enumerate(image.sketches(prompts[start : start + step]), start):
            good = answer.scores >= min_score
            if answer.stability is not None:
                good &= answer.stability >= min_stability
            for n in np.flatnonzero(good):
                small = _small(answer.masks[n])
                if small.mean() >= max(min_area, 1 / small.size):
                    bits = np.packbits(small)
                    passed.append(_Passed(float(answer.scores[n]), index, int(n), bits))
    kept = _distinct(passed, max_overlap)[:most]
    return _drawn(image, prompts, kept, step)


def _small(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "_h _w"]:
    height, width = mask.shape
    tall, wide = min(height, _SEEN), min(width, _SEEN)
    return mask[np.ix_(np.arange(tall) * height // tall, np.arange(wide) * width // wide)]


def _distinct(passed: list[_Passed], max_overlap: float) -> list[_Passed]:
    """Largest score first, without those that one before them covers."""
    kept: list[_Passed] = []
    # Of equal scores the earlier point's comes first, whatever the batches were.
    for one in sorted(passed, key=lambda p: (-p.score, p.prompt, p.candidate)):
        if all(_iou(one.bits, other.bits) <= max_overlap for other in kept):
            kept.append(one)
    return kept


def _iou(one: UInt8[np.ndarray, " m"], other: UInt8[np.ndarray, " m"]) -> float:
    either = int(np.bitwise_count(one | other).sum())
    return int(np.bitwise_count(one & other).sum()) / max(1, either)


def _drawn(
    image: PromptableImage, prompts: list[MaskPrompt], kept: list[_Passed], step: int
) -> Candidates:
    """The kept masks at full size: asked once more, so that the others were never held."""
    masks = np.zeros((len(kept), *image.size), bool)
    scores = np.zeros(len(kept), np.float32)
    stability = np.zeros(len(kept), np.float32)
    says = True
    for start in range(0, len(kept), step):
        part = kept[start : start + step]
        answers = image.many([prompts[one.prompt] for one in part])
        for place, (one, answer) in enumerate(zip(part, answers, strict=True), start):
            masks[place] = answer.masks[one.candidate]
            scores[place] = answer.scores[one.candidate]
            says = says and answer.stability is not None
            if answer.stability is not None:
                stability[place] = answer.stability[one.candidate]
    return Candidates(masks, scores, stability if says and kept else None)
