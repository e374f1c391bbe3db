"""The measures of the synthetic rules: what fits each rule, and PSNR over the better floor."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from vicl.engine import Filled
from vicl.evaluation.episodes import Case, Ink
from vicl.evaluation.scoring.measures import Metric
from vicl.figures.synthetic.rules import RULES
from vicl.metrics import iou
from vicl.metrics.edges import edge_counts, image_f
from vicl.metrics.pictures import psnr
from vicl.models.floors import Copy, Identity

VISIBLE_PSNR = 40.0
"""What PSNR says at most, in dB.

Nobody sees a difference beyond it, and a floor that is right to the last bit (Identity, of the rule
"copy") must not outweigh all other rules.
"""

GAIN = Metric("psnr_gain", "PSNR gain", unit="dB", digits=2)
METRICS = (
    GAIN,
    Metric("iou", "IoU (masks)"),
    Metric("f", "F (lines)"),
    Metric("psnr", "PSNR (pictures)", unit="dB", digits=2),
)


def rule_scores(case: Case, answer: Filled) -> dict[str, float]:
    """Score the answer to an episode of a rule.

    Args:
        case: Loaded.
        answer: Its image is scored; of the truth's size.

    Returns:
        "psnr_gain", in dB: PSNR over that of the better of Copy and Identity, both up to
        :data:`VISIBLE_PSNR`.  And what fits the rule: "iou" of a mask; "f" of lines, with the edge
        benchmark's thinning and tolerance; else "psnr", up to the same limit.  Masks and lines are
        read from the answer by the nearer of their two colours.

    Raises:
        ValueError: If sizes differ, or the truth is of another dataset.
    """
    rule, truth = RULES.get(case.truth.name), case.truth
    if rule is None or (rule.measure != "psnr" and truth.ink is None):
        raise ValueError(
            f"truth: got name {truth.name!r} and ink {truth.ink}, expected a rule's name and, for "
            "masks and lines, their colours"
        )

    def fidelity(image: Float[Tensor, "3 h w"]) -> float:
        return min(VISIBLE_PSNR, psnr(image.numpy(), truth.image.numpy()))

    floors = (engine.answer([case.prompt])[0].image for engine in (Copy(), Identity()))
    gained = fidelity(answer.image)
    scores = {"psnr_gain": gained - max(map(fidelity, floors))}
    if truth.ink is None:
        return scores | {"psnr": gained}
    found, right = (_inked(image, truth.ink) for image in (answer.image, truth.image))
    if rule.measure == "iou":
        return scores | {"iou": iou(found, right)}
    return scores | {"f": image_f(edge_counts(found.astype(np.float64), right[None], thresholds=1))}


def _inked(image: Float[Tensor, "3 h w"], ink: Ink) -> Bool[np.ndarray, "h w"]:
    """True where a pixel is nearer to the first colour; in 8 bits, so that a saved picture is."""
    levels = np.round(255 * image.numpy().astype(np.float64))
    on, off = (255 * np.array(colour)[:, None, None] for colour in ink)
    nearer: Bool[np.ndarray, "h w"] = np.square(levels - on).sum(axis=0) < np.square(
        levels - off
    ).sum(axis=0)
    return nearer
