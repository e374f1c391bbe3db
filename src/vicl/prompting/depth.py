"""One white for the deep images of a prompt: those of its examples, and the queries to come."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vicl.files import display
from vicl.images import ImageLike, highest_value, open_levels, shared_white, to_tensor
from vicl.prompt import Example
from vicl.tasks import MarkedTask, Task
from vicl.tasks.task import drawn_query

log = logging.getLogger(__name__)

HUGE = 1 << 25
"""Pixels of a query above which half its height and width are enough to follow its edges by."""

_DARK = 64
"""How many times below white all values must lie for an image to be called nearly black."""


def white_of(examples: Sequence[Example], task: Task, *, limit_pixels: int) -> float | None:
    """The white of deep examples; None where none is deep.

    It covers the largest value of them all, so that examples share it; see
    :func:`vicl.images.shared_white`.  Masks count by their values, and are not looked at.
    """
    pictures = [example.input for example in examples]
    if not isinstance(task, MarkedTask):
        pictures += [example.output for example in examples]
    return shared_white(highest_value(picture, limit_pixels=limit_pixels) for picture in pictures)


def at_white(
    examples: Sequence[Example], task: Task, white: float | None, *, limit_pixels: int
) -> tuple[Example, ...]:
    """Examples whose deep pictures are scaled by one white; the others are as they were."""

    def scaled(picture: ImageLike) -> ImageLike:
        if white is None or highest_value(picture, limit_pixels=limit_pixels) is None:
            return picture
        return to_tensor(picture, limit_pixels=limit_pixels, white=white)

    marked = isinstance(task, MarkedTask)
    return tuple(
        Example(scaled(e.input), e.output if marked else scaled(e.output)) for e in examples
    )


def open_query(
    query: ImageLike, white: float | None, task: Task, limit_pixels: int, *, halve: bool = False
) -> tuple[UInt8[np.ndarray, "h w 3"] | Float[Tensor, "3 h w"], tuple[int, int]]:
    """Open a query as an engine sees it: a tensor or a deep one in floats, any other in bytes.

    A deep one is scaled by the prompt's white, or where that has none by a white of its own.

    Values over the white are cut to it, which the log says, as it does of an image that is nearly
    black by it.

    Args:
        query: As people have it.
        white: The prompt's.
        task: What draws it.
        limit_pixels: Of its full size.
        halve: Whether half of the height and width is enough of one over :data:`HUGE` pixels.

    Returns:
        Its pixels, and its full (height, width).
    """
    highest = highest_value(query, limit_pixels=limit_pixels)
    if highest is None and not isinstance(query, Tensor):
        most = HUGE if halve else None
        levels, size = open_levels(query, limit_pixels=limit_pixels, halve_over=most)
        return drawn_query(task, levels), size
    whole = _open_deep(query, highest, white, limit_pixels=limit_pixels)
    size = (whole.shape[1], whole.shape[2])
    if halve and math.prod(size) > HUGE:
        whole = avg_pool2d(whole[None], 2)[0]  # an odd last row or column is cut
    return drawn_query(task, whole), size


def _open_deep(
    query: ImageLike, highest: float | None, white: float | None, *, limit_pixels: int
) -> Float[Tensor, "3 h w"]:
    """A tensor as it is, or a deep image whose highest value is known; see :func:`open_query`."""
    if highest is None:
        return to_tensor(query)
    if white is None:
        return to_tensor(query, limit_pixels=limit_pixels, white=shared_white([highest]))
    name = display(query) if isinstance(query, str | os.PathLike) else "a query"
    if highest > white:
        log.warning(
            "%s: has values up to %g; those over the white, %g, are cut", name, highest, white
        )
    elif 0 < highest * _DARK < white:
        log.warning("%s: is nearly black: its values reach %g of %g (white)", name, highest, white)
    return to_tensor(query, limit_pixels=limit_pixels, white=white)
