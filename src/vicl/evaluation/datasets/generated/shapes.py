"""The paper's synthetic study: a shape changes its colour, its form or its size.

A picture shows one green shape on white.  Examples and query change alike, each with a shape and a
place of its own; what changes is the task.  Nothing is read from files: an :class:`Item` is a name
such as "color/3/query", and its pictures follow from the name and the episode's seed.

Source: Bar et al. 2022, arXiv:2209.00647, section 4 (synthetic data study).  Differs: the
published code's random draws are not repeated, and which greens and blues it takes is not
published; here they are pure.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vicl.evaluation.episodes import (
    Case,
    DatasetError,
    Episode,
    Item,
    Measures,
    Truth,
    episode_rng,
)
from vicl.prompt import Example, Prompt
from vicl.tasks import TaskName

SIZE = 224
"""Side of a picture, in pixels."""
QUERIES = 100
"""How many the paper asks."""

CENTRES = (10, 213)
RADII = (10, 49)
"""Least and greatest, in pixels, inclusive; a shape may be cut off by the picture's edge."""
LARGE, SMALL = 30, 20
"""Radius before and after a change of size, in pixels."""
SHIFT = 56
"""How far a shape moves, in pixels: a quarter of the picture."""

Form = Literal["circle", "square"]
ColourName = Literal["blue", "green", "white", "black"]

COLOURS: dict[ColourName, tuple[float, float, float]] = {
    "blue": (0.0, 0.0, 1.0),
    "green": (0.0, 1.0, 0.0),
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
}
"""In the order in which they win ties."""


@dataclass(frozen=True)
class Shape:
    """What a picture shows.

    Attributes:
        y: Row of its centre, in pixels.
        x: Column.
        radius: Of the circle; half the side of the square. In pixels.
        form: Which of both.
        colour: On white.
    """

    y: int
    x: int
    radius: int
    form: Form = "circle"
    colour: ColourName = "green"

    def draw(self) -> Float[Tensor, "3 224 224"]:
        """The picture, RGB in [0, 1], without intermediate colours."""
        inside = torch.from_numpy(covered(SIZE, self.y, self.x, self.radius, form=self.form))
        colour, white = (torch.tensor(COLOURS[c])[:, None, None] for c in (self.colour, "white"))
        return torch.where(inside, colour, white)


@dataclass(frozen=True)
class Change:
    """What becomes of a shape.

    Attributes:
        of: The shape of the input, made that of the output.
        form: Of the answer.
        colour: Of the answer.
        palette: What a pixel may be; it is rounded to the nearest.
        radius: Of the input; None draws it.
        rows: Least and greatest row of a centre.
        columns: Likewise.
    """

    of: Callable[[Shape], Shape]
    form: Form = "circle"
    colour: ColourName = "green"
    palette: tuple[ColourName, ...] = ("blue", "green", "white", "black")
    radius: int | None = None
    rows: tuple[int, int] = CENTRES
    columns: tuple[int, int] = CENTRES


_NO_BLUE: tuple[ColourName, ...] = ("green", "white", "black")
_LESS = (CENTRES[0], CENTRES[1] - SHIFT)
_CHANGES: dict[str, Change] = {
    "color": Change(lambda s: replace(s, colour="blue"), colour="blue"),
    "shape": Change(lambda s: replace(s, form="square"), form="square", palette=_NO_BLUE),
    "size": Change(lambda s: replace(s, radius=SMALL), radius=LARGE),
    "size+color": Change(
        lambda s: replace(s, radius=SMALL, colour="blue"), colour="blue", radius=LARGE
    ),
    "shape+color": Change(
        lambda s: replace(s, form="square", colour="blue"), form="square", colour="blue"
    ),
    "size+shape": Change(
        lambda s: replace(s, radius=SMALL, form="square"),
        form="square",
        palette=_NO_BLUE,
        radius=LARGE,
    ),
    "mirror-horizontally": Change(lambda s: replace(s, x=SIZE - 1 - s.x), palette=_NO_BLUE),
    "mirror-vertically": Change(lambda s: replace(s, y=SIZE - 1 - s.y), palette=_NO_BLUE),
    "shift-right": Change(lambda s: replace(s, x=s.x + SHIFT), palette=_NO_BLUE, columns=_LESS),
    "shift-down": Change(lambda s: replace(s, y=s.y + SHIFT), palette=_NO_BLUE, rows=_LESS),
}
CHANGES = ("color", "shape", "size", "size+color", "shape+color", "size+shape")
"""The paper's six."""
EXTENDED = tuple(name for name in _CHANGES if name not in CHANGES)
"""Four in which the place changes, which the paper names as failing."""


@dataclass(frozen=True)
class ShapesStudy:
    """Episodes of one change; see :class:`vicl.evaluation.episodes.Dataset`.

    Attributes:
        change: One of :data:`CHANGES` or :data:`EXTENDED`.
    """

    change: str
    task: ClassVar[TaskName] = "image"
    measures: ClassVar[Measures] = "shapes"

    def __post_init__(self) -> None:
        change_of(self.change)

    @property
    def name(self) -> str:
        """Stands in episodes and reports."""
        return f"shapes, {self.change}"

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, over the parameters of the drawing."""
        change = change_of(self.change)
        said = [self.change, SIZE, RADII, LARGE, SMALL, SHIFT, change.rows, change.columns, COLOURS]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def episodes(
        self, count: int | None = None, *, seed: int = 0, examples: int = 2
    ) -> list[Episode]:
        """See :meth:`vicl.evaluation.episodes.Dataset.episodes`; without a count, the paper's 100.

        Raises:
            ValueError: If a number is out of its range.
        """
        number = QUERIES if count is None else count
        if number < 1 or examples < 1 or seed < 0:
            raise ValueError(
                f"got count={count}, examples={examples}, seed={seed}; expected at least one "
                "episode, at least one example, and a seed of at least 0"
            )
        roles = ["query", *(f"example{n}" for n in range(1, examples + 1))]
        drawn = []
        for index in range(number):
            query, *shown = (Item(f"{self.change}/{index}/{r}", (), self.change) for r in roles)
            drawn.append(Episode(self.name, self.task, seed, index, tuple(shown), query))
        return drawn

    def load(self, episode: Episode) -> Case:
        """Draw an episode's pictures.

        Raises:
            DatasetError: If the episode is not of this change.
        """
        shapes = [self._shape(item, episode.seed) for item in (*episode.examples, episode.query)]
        changed = change_of(self.change).of
        pairs = [(shape.draw(), changed(shape).draw()) for shape in shapes]
        query, truth = pairs.pop()
        return Case(
            Prompt([Example(*pair) for pair in pairs], query), Truth(truth, name=self.change)
        )

    def _shape(self, item: Item, seed: int) -> Shape:
        """The shape of an input, which follows from its name and the seed alone."""
        named = re.fullmatch(r"([a-z+-]+)/(\d{1,9})/(query|example\d{1,3})", item.image, re.ASCII)
        if named is None or named[1] != self.change:
            raise DatasetError(
                f"episode of {item.image!r}: is not of the study's task {self.change!r}, whose "
                f"pictures are called {self.change}/0/query and the like"
            )
        change = change_of(self.change)
        rng = episode_rng(f"shapes, {self.change}, {named[3]}", seed, int(named[2]))
        y, x, radius = (
            int(rng.integers(low, high + 1)) for low, high in (change.rows, change.columns, RADII)
        )
        return Shape(y, x, radius if change.radius is None else change.radius)


def change_of(name: str) -> Change:
    """One of the study's changes.

    Raises:
        ValueError: If none is called so.
    """
    if name not in _CHANGES:
        raise ValueError(f"task: got {name!r}, expected one of {', '.join(_CHANGES)}")
    return _CHANGES[name]


def covered(
    size: int, y: float | int, x: float | int, radius: float | int, *, form: Form
) -> Bool[np.ndarray, "s s"]:
    """Where a shape covers the pixels of a square picture; what reaches beyond it is cut off.

    Args:
        size: Side of the picture, in pixels.
        y: Row of the centre, in pixels.
        x: Column.
        radius: Of the circle, half the side of the square; its rim belongs to it.
        form: Which of both.
    """
    down, across = np.abs(np.arange(size) - y)[:, None], np.abs(np.arange(size) - x)
    if form == "circle":
        return np.asarray(down**2 + across**2 <= radius**2)
    return np.asarray(np.maximum(down, across) <= radius)
