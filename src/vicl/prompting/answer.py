"""What came out: the answer to a query, and what a prompt is expected to score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from vicl.metrics import Interval, bootstrap_interval
from vicl.tasks.boxes import Box


@dataclass(frozen=True, eq=False)
class Answer:
    """What came out for one query; everything at the query's own size (h, w).

    Attributes:
        image: RGB. A mask or boxes are drawn clean; other tasks give the engine's picture.
        confidence: How sure the engine is, float32 (h, w) in [0, 1]; None if it cannot say.
        likelihood: Log-likelihood, for ranking answers to one query; None if the engine has none.
        mask: Segmentation: class numbers, uint8 (h, w), 0 = background.
        scores: Segmentation and detection: float32 (classes, h, w) in [0, 1].
        classes: Their names, in the order of their numbers from 1.
        boxes: Detection: xyxy in pixels of the query, class number and score.
        edges: Edges: float32 (h, w) in [0, 1].
        cell: The first pass's answer as inpainted; None for engines without a canvas.
        canvas: The first pass's filled canvas; None for engines without one.
        alternatives: Further answers, best first, where `samples` asked for them.
        index: Which query it answers, counted from 0.
        source: The query's file, where it was one.
    """

    image: Image.Image
    confidence: Float[np.ndarray, "h w"] | None = None
    likelihood: float | None = None
    mask: UInt8[np.ndarray, "h w"] | None = None
    scores: Float[np.ndarray, "k h w"] | None = None
    classes: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    edges: Float[np.ndarray, "h w"] | None = None
    cell: Image.Image | None = None
    canvas: Image.Image | None = None
    alternatives: tuple[Answer, ...] = ()
    index: int = 0
    source: Path | None = None


@dataclass(frozen=True)
class ExpectedScore:
    """How well a prompt's examples predict one another.

    Attributes:
        metric: What was measured, such as "IoU"; more is better.
        values: One an example: it as the query, the others as its examples.
        copy: The same for the Copy floor.
    """

    metric: str
    values: tuple[float, ...]
    copy: tuple[float, ...]

    @property
    def interval(self) -> Interval:
        """Mean of the values with its bootstrap 95% interval."""
        return bootstrap_interval(self.values)

    def __str__(self) -> str:
        return (
            f"{self.metric} {self.interval.mean:.2f} by leaving one out of {len(self.values)} "
            f"examples (Copy: {np.mean(self.copy):.2f})"
        )
