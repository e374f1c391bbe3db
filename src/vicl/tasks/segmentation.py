"""Segmentation: masks, drawn in white or by a palette."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vicl.images import DEFAULT_LIMIT_PIXELS, to_tensor
from vicl.metrics import iou
from vicl.prompt import Example
from vicl.tasks.pairs import read_pair
from vicl.tasks.palette import palette
from vicl.tasks.task import MarkedTask, Passes, Pictures, Reading

UNKNOWN: Final = 128 / 255
"""Gray level of what an example does not say; see :attr:`SegmentationTask.unknown`."""


@dataclass(frozen=True)
class SegmentationTask(MarkedTask):
    """Masks: white on black, one prompt a class; or all classes in one prompt, by a palette.

    Attributes:
        palette: Draw all classes in one prompt, each in its colour (that of `marks`, or one from
            the fixed palette). Quicker, but engines blur colours.
        unknown: Draw pixels that belong to no class, since nobody said what they are, in the gray
            :data:`UNKNOWN`, for an engine that learns from the others alone; else they are drawn
            as background.
    """

    name: str = "segmentation"
    metric: str = "IoU"
    palette: bool = False
    unknown: bool = False

    @property
    def passes(self) -> int:
        """One a class, or one altogether."""
        return 1 if self.palette else len(self.marks)

    @property
    def colours(self) -> Float[Tensor, "k 3"]:
        """RGB in [0, 1] of each class, as drawn."""
        keys = self.marks.keys
        fixed = palette(len(keys))
        colours = [key if isinstance(key, tuple) else fixed[i] for i, key in enumerate(keys)]
        return torch.tensor(colours, dtype=torch.float32) / 255

    def draw(self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Passes:
        """See :meth:`Task.draw`; for what a mask may be see :mod:`vicl.tasks.masks`."""
        picture = to_tensor(example.input, limit_pixels=limit_pixels)
        labels = read_pair(example, picture, self.marks, self.name, limit_pixels=limit_pixels)
        drawn = self.draw_labels(labels.labels)
        if self.unknown and labels.void.any():
            void = torch.from_numpy(labels.void)
            drawn = [output.masked_fill(void, UNKNOWN) for output in drawn]
        return tuple(Example(picture, output) for output in drawn)

    def draw_labels(self, labels: UInt8[np.ndarray, "h w"]) -> list[Float[Tensor, "3 h w"]]:
        """Class numbers as the pictures of all passes."""
        numbers = torch.from_numpy(labels)
        if self.palette:
            table = torch.cat([torch.zeros(1, 3), self.colours])
            return [table[numbers.int()].permute(2, 0, 1).contiguous()]
        return [
            (numbers == number).float().expand(3, -1, -1)
            for number in range(1, len(self.marks) + 1)
        ]

    def read(self, images: Pictures) -> Reading:
        """Each pixel to the nearer of white and black; with several classes, to the best of those.

        With a palette: to the nearest of its colours and black; the scores are a softmax over
        squared distances.
        """
        if self.palette:
            table = torch.cat([torch.zeros(1, 3), self.colours])
            distances = (images[0][None] - table[:, :, None, None]).square().sum(dim=1)
            labels = distances.argmin(dim=0)
            scores = torch.softmax(-8.0 * distances, dim=0)[1:]
        else:
            scores = torch.empty(len(images), *images[0].shape[1:])
            for image, score in zip(images, scores, strict=True):
                torch.mean(image, dim=0, out=score)
            # Class by class: indices of a maximum take eight bytes a pixel.
            labels = torch.zeros(scores.shape[1:], dtype=torch.uint8)
            best = torch.full_like(scores[0], 0.5)
            for number, score in enumerate(scores, start=1):
                labels[score > best] = number
                torch.maximum(best, score, out=best)
        mask = labels.numpy().astype(np.uint8)
        clean = self.draw_labels(mask)[0]
        if len(self.marks) > 1 and not self.palette:
            table = torch.cat([torch.zeros(1, 3), self.colours])
            clean = table[labels.int()].permute(2, 0, 1).contiguous()
        return Reading(clean, mask=mask, scores=scores.numpy())

    def score(self, answers: Pictures, truths: Pictures) -> float:
        """IoU, averaged over the classes that the truth or the answer shows; in [0, 1]."""
        got, want = self.read(answers).mask, self.read(truths).mask
        assert got is not None
        assert want is not None
        shown = [n for n in range(1, len(self.marks) + 1) if (got == n).any() or (want == n).any()]
        return float(np.mean([iou(got == n, want == n) for n in shown])) if shown else 1.0
