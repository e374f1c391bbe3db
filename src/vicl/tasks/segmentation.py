"""Segmentation: masks, drawn in white or by a palette."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from vicl.images import DEFAULT_LIMIT_PIXELS, open_shrunk, to_tensor
from vicl.metrics import iou
from vicl.prompt import Example
from vicl.tasks.pairs import read_pair
from vicl.tasks.palette import palette
from vicl.tasks.task import EXAMPLE_SIZE, MarkedTask, Passes, Pictures, Reading, gray

_BAND: Final = 1 << 20
"""Pixels of an answer that are read at a time."""

UNKNOWN: Final = 128
"""Gray level, of 255, of what an example does not say; see :attr:`SegmentationTask.unknown`."""


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

    def draw(self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Passes:
        """See :meth:`Task.draw`; for what a mask may be see :mod:`vicl.tasks.masks`."""
        picture, size = open_shrunk(example.input, EXAMPLE_SIZE, limit_pixels=limit_pixels)
        mask = read_pair(example, size, self.marks, self.name, limit_pixels=limit_pixels)
        outputs = []
        for drawn in self._drawn(mask.labels):
            if self.unknown:
                drawn[mask.void] = UNKNOWN
            outputs.append(open_shrunk(drawn, EXAMPLE_SIZE)[0])
        return tuple(Example(picture, output) for output in outputs)

    def draw_labels(self, labels: UInt8[np.ndarray, "h w"]) -> list[Float[Tensor, "3 h w"]]:
        """Class numbers as the pictures of all passes."""
        return [to_tensor(drawn) for drawn in self._drawn(labels)]

    def _drawn(
        self, labels: UInt8[np.ndarray, "h w"]
    ) -> Iterator[UInt8[np.ndarray, "h w"] | UInt8[np.ndarray, "h w 3"]]:
        """The picture of each pass in 8 bits, one after the other."""
        if self.palette:
            yield self._table()[labels]
            return
        for number in range(1, len(self.marks) + 1):
            drawn = (labels == number).view(np.uint8)
            drawn *= np.uint8(255)  # in place: a mask may be as large as a photograph
            yield drawn

    def read(self, images: Pictures) -> Reading:
        """Each pixel to the nearer of white and black; with several classes, to the best of those.

        With a palette: to the nearest of its colours and black; the scores are a softmax over
        squared distances.
        """
        read = self._read_colours(images[0]) if self.palette else self._read_brightness(images)
        labels, scores = read
        table = self._table()
        if len(self.marks) == 1 and not self.palette:
            table[1] = 255
        drawn = Image.fromarray(labels)  # shares the mask's memory
        drawn.putpalette(table.ravel().tolist())
        return Reading(drawn, mask=labels, scores=scores)

    def _read_colours(
        self, image: Float[Tensor, "3 h w"]
    ) -> tuple[UInt8[np.ndarray, "h w"], Float[np.ndarray, "k h w"]]:
        table = torch.from_numpy(self._table()).float().div(255)[:, :, None, None]
        labels = torch.empty(image.shape[1:], dtype=torch.uint8)
        scores = torch.empty(len(table) - 1, *image.shape[1:])
        for band in _bands(labels.shape):
            distances = (image[:, band][None] - table).square().sum(dim=1)
            labels[band] = distances.argmin(dim=0)
            scores[:, band] = torch.softmax(-8.0 * distances, dim=0)[1:]
        return labels.numpy(), scores.numpy()

    def _read_brightness(
        self, images: Pictures
    ) -> tuple[UInt8[np.ndarray, "h w"], Float[np.ndarray, "k h w"]]:
        planes = [gray(image).numpy() for image in images]
        scores = planes[0][None] if len(planes) == 1 else np.stack(planes)
        if len(planes) == 1:
            return (planes[0] > 0.5).view(np.uint8), scores
        labels = np.zeros(scores.shape[1:], np.uint8)
        for band in _bands(labels.shape):
            # Class by class: indices of a maximum take eight bytes a pixel.
            best = np.full_like(scores[0, band], 0.5)
            for number, score in enumerate(scores[:, band], start=1):
                labels[band][score > best] = number
                np.maximum(best, score, out=best)
        return labels, scores

    def _table(self) -> UInt8[np.ndarray, "k 3"]:
        """The colour of each class number, black for the background."""
        fixed = palette(len(self.marks))
        colours = [
            key if isinstance(key, tuple) else fixed[index]
            for index, key in enumerate(self.marks.keys)
        ]
        return np.array([(0, 0, 0), *colours], np.uint8)

    def score(self, answers: Pictures, truths: Pictures) -> float:
        """IoU, averaged over the classes that the truth or the answer shows; in [0, 1]."""
        got, want = self.read(answers).mask, self.read(truths).mask
        assert got is not None
        assert want is not None
        shown = [n for n in range(1, len(self.marks) + 1) if (got == n).any() or (want == n).any()]
        return float(np.mean([iou(got == n, want == n) for n in shown])) if shown else 1.0


def _bands(size: tuple[int, ...]) -> Iterator[slice]:
    """Rows that are read at a time: else every step takes the memory of a whole picture."""
    rows = max(1, _BAND // size[1])
    return (slice(top, top + rows) for top in range(0, size[0], rows))
