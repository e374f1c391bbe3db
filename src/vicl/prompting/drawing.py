"""Examples as an engine sees them: annotations read and drawn, in 8 bits a channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from PIL import Image
from torch import Tensor

from vicl.canvas.layout import Layout
from vicl.images import ImageLike, open_shrunk, settle, to_pil, to_tensor
from vicl.prompt import Example, Prompt
from vicl.prompting.annotated import painted, with_shapes
from vicl.prompting.depth import at_white, white_of
from vicl.tasks import Task, draw_examples
from vicl.tasks.task import EXAMPLE_SIZE

_GRID: Final = (448, 448)
"""Pixels of a grid for engines without a canvas."""

Passes = tuple[tuple[Example, ...], ...]
"""For each pass of a task, the examples as the engine sees them."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Examples, drawn.

    Attributes:
        passes: As the engine sees them.
        white: Of deep images, by which the query is opened too.
        files: Theirs, where each query has its own.
    """

    passes: Passes
    white: float | None
    files: tuple[Path, ...] = ()

    def settle(self) -> None:
        """Nobody writes into drawn examples: engines need not look through them for every query."""
        each = [example for examples in self.passes for example in examples]
        pictures = [picture for one in each for picture in (one.input, one.output)]
        settle(*(picture for picture in pictures if isinstance(picture, Tensor)))


def drawn_passes(
    examples: Sequence[Example], task: Task, white: float | None, *, limit_pixels: int
) -> Passes:
    """Draw examples for a task, in 8 bits a channel, as a prompt file keeps them.

    Args:
        examples: As people have them.
        task: What draws them.
        white: Of deep images; see :func:`vicl.prompting.depth.white_of`.
        limit_pixels: Of each.

    Raises:
        vicl.images.ImageError: If a file cannot be opened.
        ValueError: If an annotation cannot be understood, or none shows a class.
    """
    read = _read(examples, task, white, limit_pixels)
    drawn = draw_examples(task, read, limit_pixels=limit_pixels)
    return _in_8_bits(drawn)


def drawn_alone(example: Example, task: Task, *, limit_pixels: int) -> tuple[Example, ...]:
    """Draw an example, once a pass, whichever of the classes it shows.

    Raises:
        vicl.images.ImageError: If a file cannot be opened.
        ValueError: If its annotation cannot be understood.
    """
    white = white_of([example], task, limit_pixels=limit_pixels)
    (read,) = _read([example], task, white, limit_pixels)
    (alone,) = _in_8_bits([task.draw(read, limit_pixels=limit_pixels)])
    return alone


def unseen(task: Task) -> Passes:
    """An example in place of those that an engine does not look at.

    Raises:
        ValueError: If the task takes several prompts, which would all be alike.
    """
    if task.passes > 1:
        raise ValueError(
            f"classes: got {', '.join(task.classes)}, expected one: without examples all would be "
            "answered alike"
        )
    blank = torch.zeros(3, 1, 1)
    return ((Example(blank, blank),),)


def on_grid(examples: Sequence[Example], query: ImageLike, answer: Image.Image) -> Image.Image:
    """A square grid of a query and its answer, beside as many of its examples as fit."""
    shown = examples[: Layout.largest(_GRID)]
    layout = Layout.grid(len(shown), canvas_size=_GRID)
    drawn, _ = open_shrunk(query, EXAMPLE_SIZE)
    answered, _ = open_shrunk(answer, EXAMPLE_SIZE, limit_pixels=answer.width * answer.height)
    image = layout.compose(Prompt(shown, drawn)).image
    layout.answer.of(image)[:] = layout.draw(answered, layout.answer)
    return to_pil(image)


def _read(
    examples: Sequence[Example], task: Task, white: float | None, limit_pixels: int
) -> tuple[Example, ...]:
    examples = at_white(with_shapes(examples), task, white, limit_pixels=limit_pixels)
    return painted(examples, task, limit_pixels=limit_pixels)


def _in_8_bits(drawn: Sequence[Sequence[Example]]) -> Passes:
    """Examples of passes in 8 bits a channel; a picture that passes share stays one."""
    made: dict[int, Tensor] = {}

    def once(image: ImageLike) -> Tensor:
        if id(image) not in made:
            made[id(image)] = to_tensor(to_pil(to_tensor(image)))
        return made[id(image)]

    return tuple(
        tuple(Example(once(one.input), once(one.output)) for one in several) for several in drawn
    )
