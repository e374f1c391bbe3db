"""An encoded image: what every segmenter gives, so that all are asked alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from vicl.engine import Candidates, MaskPrompt
from vicl.prompt import WAYS, ExampleLike
from vicl.segmenters.everything import everything
from vicl.segmenters.registry import SEGMENTERS

Answer: TypeAlias = Callable[[Sequence[MaskPrompt]], list[Candidates]]


class EncodedImage:
    """An image that a segmenter has encoded; asking it is quick."""

    def __init__(
        self,
        size: tuple[int, int],
        accepts: frozenset[str],
        answer: Answer,
        sketch: Answer | None = None,
    ) -> None:
        """Keep what the segmenter found.

        Args:
            size: (height, width) of the image, in pixels.
            accepts: Which of :data:`vicl.prompt.WAYS` the segmenter takes.
            answer: The segmenter's own: it is given valid prompts only, in pixels of the image,
                and gives candidates for each, best first.
            sketch: The same with smaller masks, sooner; None where there is no such way.
        """
        self.size, self.accepts, self._answer = size, accepts, answer
        self._sketch = answer if sketch is None else sketch

    def __repr__(self) -> str:
        height, width = self.size
        return f"EncodedImage({height}x{width}, accepts={_listed(self.accepts)})"

    def masks(
        self,
        points: Any = None,
        labels: Any = None,
        *,
        box: Any = None,
        scribbles: Any = None,
        mask: Any = None,
        text: str | None = None,
        example: ExampleLike | None = None,
    ) -> Candidates:
        """The masks that a prompt may mean, best first; any mix of ways of saying it.

        Args:
            points: (x, y) pairs, in pixels.
            labels: One a point: 1 = in, 0 = out; None: all are in.
            box: (x0, y0, x1, y1) around the thing; what lies outside the image is cut off.
            scribbles: uint8 (h, w) at the image's size: 1 = in, 0 = out, 255 = unknown.
            mask: Bool (h, w) at the image's size: a coarse or an earlier mask.
            text: What the thing is called.
            example: (image, mask): a region of another image that shows such a thing.

        Raises:
            ValueError: If one is not so, lies outside the image, nothing is asked, or the
                segmenter does not take it.
        """
        prompt = MaskPrompt(
            points, labels, box=box, scribbles=scribbles, mask=mask, text=text, example=example
        )
        return self.many([prompt])[0]

    def many(self, prompts: Sequence[MaskPrompt]) -> list[Candidates]:
        """Answer several prompts, in order; each gets what it would get alone.

        Raises:
            ValueError: As :meth:`masks`.
        """
        return self._answer([self._checked(prompt) for prompt in prompts]) if prompts else []

    def sketches(self, prompts: Sequence[MaskPrompt]) -> list[Candidates]:
        """Answer as :meth:`many`, with masks that may be smaller than the image: to choose by."""
        return self._sketch([self._checked(prompt) for prompt in prompts]) if prompts else []

    everything = everything

    def _checked(self, prompt: MaskPrompt) -> MaskPrompt:
        """The prompt, its box cut to the image; or refuse it."""
        self._check_ways(prompt)
        height, width = self.size
        for index, (x, y) in enumerate(prompt.points.tolist()):
            if not (0 <= x < width and 0 <= y < height):
                raise ValueError(
                    f"points[{index}]: got ({x:g}, {y:g}), expected x in [0, {width}) and y in "
                    f"[0, {height}): pixels of the image"
                )
        for name in ("scribbles", "mask"):
            values = getattr(prompt, name)
            if values is not None and values.shape != self.size:
                raise ValueError(
                    f"{name}: got {values.shape[0]}x{values.shape[1]}, expected the image's "
                    f"{height}x{width} (height x width)"
                )
        if prompt.box is None:
            return prompt
        box = np.clip(prompt.box, 0, (width, height, width, height))
        if not (box[:2] < box[2:]).all():
            raise ValueError(
                f"box: got {tuple(prompt.box.tolist())}, expected one that lies on the image of "
                f"{width}x{height} pixels"
            )
        return replace(prompt, box=box)

    def _check_ways(self, prompt: MaskPrompt) -> None:
        for way in WAYS:
            if way in prompt.ways - self.accepts:
                others = [row.name for row in SEGMENTERS if way in row.accepts]
                raise ValueError(
                    f"{way}: this segmenter does not take it, it takes {_listed(self.accepts)}; "
                    + (f"{way} is taken by {', '.join(others)}" if others else "none here does")
                )


def _listed(ways: frozenset[str]) -> str:
    return ", ".join(way for way in WAYS if way in ways)
