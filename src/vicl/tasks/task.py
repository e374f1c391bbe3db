"""What a task is: how an annotation is drawn as an image, and read back from one.

A task is two images side by side.  What a person has (a mask, boxes, an edge map) is *drawn* as the
output image of an example, and the image that an engine answers is *read* as the same kind of
thing.  Tasks know nothing of engines and layouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from vicl.images import DEFAULT_LIMIT_PIXELS, to_levels, to_tensor
from vicl.prompt import Example
from vicl.tasks.boxes import Box
from vicl.tasks.masks import Classes

Pictures: TypeAlias = Sequence[Float[Tensor, "3 h w"]]
"""One picture a pass of a task, of one size."""
Passes: TypeAlias = tuple[Example, ...]
"""One example as it is drawn for each pass of a task."""


EXAMPLE_SIZE: Final = 1024
"""Longest side, in pixels, that examples are kept at: as much as any engine looks at."""


_BAND: Final = 1 << 20
"""Pixels of a query that are drawn at a time."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What a task reads from an answered image; everything at the query's size.

    Attributes:
        image: The answer as a clean picture, of mode L, P or RGB: a mask or boxes are
            drawn anew, hard-edged.
        mask: Class numbers, 0 = background.
        scores: In [0, 1], one map a class; for a black-and-white prompt its brightness.
        boxes: In pixels of the query.
        edges: Strength in [0, 1].
    """

    image: Image.Image
    mask: UInt8[np.ndarray, "h w"] | None = None
    scores: Float[np.ndarray, "k h w"] | None = None
    boxes: tuple[Box, ...] = ()
    edges: Float[np.ndarray, "h w"] | None = None


def drawn_query(
    task: Task, query: UInt8[np.ndarray, "h w 3"] | Float[Tensor, "3 h w"]
) -> UInt8[np.ndarray, "h w 3"] | Float[Tensor, "3 h w"]:
    """A query as the engine sees it, held as it came: in bytes where it has 8 bits a channel.

    A large one is drawn in bands, and rounded to 8 bits again.
    """
    if isinstance(query, Tensor):
        return task.draw_query(query)
    rows = max(1, _BAND // query.shape[1])
    drawn: UInt8[np.ndarray, "h w 3"] | None = None
    for top in range(0, len(query), rows):
        band = to_tensor(query[top : top + rows])
        seen = task.draw_query(band)
        if seen is band:
            return query
        if rows >= len(query):
            return seen
        drawn = np.empty_like(query) if drawn is None else drawn
        drawn[top : top + rows] = to_levels(seen)
    assert drawn is not None
    return drawn


def gray(image: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
    """The mean of the channels; of one plane that is repeated that plane itself."""
    return image[0] if image.stride(0) == 0 else image.mean(dim=0)


@runtime_checkable
class Task(Protocol):
    """How annotations are drawn and read."""

    @property
    def name(self) -> str:
        """As `vicl predict --task` takes it."""
        ...

    @property
    def metric(self) -> str:
        """What :meth:`score` measures; more is better."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty where the task has none."""
        ...

    @property
    def passes(self) -> int:
        """How many prompts (with outputs drawn differently) one query takes."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether a part of a photograph can be answered without seeing the rest."""
        ...

    def draw(self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Passes:
        """Draw an example's input and annotation as images, once for each pass.

        Images may be given no longer than :data:`EXAMPLE_SIZE`; larger ones are shrunk to it.

        Raises:
            vicl.images.ImageError: If a file cannot be opened.
            ValueError: If the annotation cannot be understood; it says what was expected.
        """
        ...

    def draw_query(self, query: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The query as the engine sees it, pixel by pixel: a large one is drawn in bands."""
        ...

    def read(self, images: Pictures) -> Reading:
        """Read the answers of all passes to one query."""
        ...

    def score(self, answers: Pictures, truths: Pictures) -> float:
        """Compare the answers of all passes with the drawn truth of the same size."""
        ...


@dataclass(frozen=True)
class MarkedTask(Task):
    """A task with classes, each marked in its own way.

    Attributes:
        marks: The classes and what marks them in the examples' masks.
    """

    marks: Classes
    is_local: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their numbers."""
        return self.marks.names

    @property
    def passes(self) -> int:
        """One a class."""
        return len(self.marks)

    def draw_query(self, query: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The query as it is."""
        return query
