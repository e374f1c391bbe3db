"""What a task is: how an annotation is drawn as an image, and read back from one.

A task is two images side by side.  What a person has (a mask, boxes, an edge map) is *drawn* as the
output image of an example, and the image that an engine answers is *read* as the same kind of
thing.  Tasks know nothing of engines and layouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from vicl.images import DEFAULT_LIMIT_PIXELS
from vicl.prompt import Example
from vicl.tasks.boxes import Box
from vicl.tasks.masks import Classes

Pictures: TypeAlias = Sequence[Float[Tensor, "3 h w"]]
"""One picture a pass of a task, of one size."""
Passes: TypeAlias = tuple[Example, ...]
"""One example as it is drawn for each pass of a task."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What a task reads from an answered image; everything at the query's size.

    Attributes:
        image: The answer as a clean picture: a mask or boxes are drawn anew, hard-edged.
        mask: Class numbers, 0 = background.
        scores: In [0, 1], one map a class; for a black-and-white prompt its brightness.
        boxes: In pixels of the query.
        edges: Strength in [0, 1].
    """

    image: Float[Tensor, "3 h w"]
    mask: UInt8[np.ndarray, "h w"] | None = None
    scores: Float[np.ndarray, "k h w"] | None = None
    boxes: tuple[Box, ...] = ()
    edges: Float[np.ndarray, "h w"] | None = None


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

        Raises:
            vicl.images.ImageError: If a file cannot be opened.
            ValueError: If the annotation cannot be understood; it says what was expected.
        """
        ...

    def draw_query(self, query: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The query as the engine sees it."""
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
