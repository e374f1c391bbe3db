"""Tasks without classes: any image, colorization, edges."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from vicl.images import DEFAULT_LIMIT_PIXELS, open_shrunk, to_pil
from vicl.metrics.edges import edge_counts, image_f, thin
from vicl.metrics.pictures import PSNR_CEILING, psnr
from vicl.prompt import Example
from vicl.tasks.pairs import check_frame, check_two
from vicl.tasks.task import EXAMPLE_SIZE, Passes, Pictures, Reading, gray

LUMA = (0.299, 0.587, 0.114)
"""Rec. 601 weights of red, green and blue, by which Pillow turns colour to gray."""


@dataclass(frozen=True)
class ImageTask:
    """Any image to any image; nothing is drawn or read."""

    name: str = "image"
    metric: str = "PSNR (dB)"
    classes: tuple[str, ...] = ()
    passes: int = 1
    is_local: bool = True

    def draw(self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Passes:
        """See :meth:`Task.draw`; input and output may differ in size."""
        (picture, _), (output, _) = _pictures(example, limit_pixels)
        return (Example(picture, output),)

    def draw_query(self, query: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The query as it is."""
        return query

    def read(self, images: Pictures) -> Reading:
        """The image as it is."""
        return Reading(to_pil(images[0]))

    def score(self, answers: Pictures, truths: Pictures) -> float:
        """PSNR in dB, at most 100 (where both are equal)."""
        return min(PSNR_CEILING, psnr(answers[0].numpy(), truths[0].numpy()))


@dataclass(frozen=True)
class ColorizationTask(ImageTask):
    """Gray to colour: examples are colour images; inputs and the query are turned gray."""

    name: str = "colorization"

    def draw(self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Passes:
        """See :meth:`Task.draw`; the output is the colour image, the input any version of it."""
        (picture, size), (output, output_size) = _pictures(example, limit_pixels)
        check_frame(size, output_size, self.name, example)
        return (Example(_gray(picture), output),)

    def draw_query(self, query: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The query in gray, whatever colours it had."""
        return _gray(query)


@dataclass(frozen=True)
class EdgesTask(ImageTask):
    """Edge maps, white on black; soft ones are welcome."""

    name: str = "edges"
    metric: str = "edge F"

    def draw(self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Passes:
        """See :meth:`Task.draw`; the output is an edge map, brighter where the edge is stronger.

        Raises:
            ValueError: Also if the map is mostly bright, so drawn black on white, or is the input.
        """
        check_two(example, self.name)
        (picture, size), (output, output_size) = _pictures(example, limit_pixels)
        check_frame(size, output_size, self.name, example)
        edges = _gray(output)
        if edges.mean() > 0.5:
            raise ValueError(
                f"edges: {_named(example.output)} is mostly bright (mean {edges.mean():.2f} of 1), "
                "expected white edges on black; invert it"
            )
        return (Example(picture, edges),)

    def read(self, images: Pictures) -> Reading:
        """Brightness is the strength of the edge."""
        return Reading(to_pil(images[0]), edges=gray(images[0]).numpy())

    def score(self, answers: Pictures, truths: Pictures) -> float:
        """The Berkeley benchmark's F at the answer's best threshold; in [0, 1].

        The truth is thinned and counts where at least half of its strongest edge is reached.
        """
        truth = thin(truths[0].mean(dim=0).numpy())
        lines = truth >= 0.5 * truth.max() if truth.any() else truth > 0
        return image_f(edge_counts(answers[0].mean(dim=0).numpy(), lines[None]))


def _pictures(
    example: Example, limit_pixels: int
) -> tuple[tuple[Tensor, tuple[int, int]], tuple[Tensor, tuple[int, int]]]:
    """Input and output, no longer than examples are kept, and their full sizes."""
    images = (example.input, example.output)
    first, second = (open_shrunk(i, EXAMPLE_SIZE, limit_pixels=limit_pixels) for i in images)
    return first, second


def _gray(image: Tensor) -> Tensor:
    """Gray in three equal channels, rounded to 8 bits as Pillow's is."""
    weights = image.new_tensor(LUMA)[:, None, None]
    gray: Tensor = (image * weights).sum(dim=0).clamp(0, 1).mul(255).round().div(255)
    return gray.expand(3, -1, -1).contiguous()


def _named(annotation: Any) -> str:
    return repr(os.fspath(annotation)) if isinstance(annotation, str | os.PathLike) else "the map"
