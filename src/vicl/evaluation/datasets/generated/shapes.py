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
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vicl.evaluation.datasets.generated.forms import Form, figure, form_of
from vicl.evaluation.episodes import (
    Case,
    DatasetError,
    Episode,
    Item,
    Kind,
    Truth,
    episode_rng,
)
from vicl.metrics import iou
from vicl.prompt import Example, Prompt

SIZE = 224
"""Side of a picture, in pixels."""
CELL = 74
"""Side of the cell at which answers are scored, in pixels: that of the published 3×2 grid."""
QUERIES = 100
"""How many the paper asks."""

CENTRES = (10, 213)
RADII = (10, 49)
"""Least and greatest, in pixels, inclusive; a shape may be cut off by the picture's edge."""
LARGE, SMALL = 30, 20
"""Radius before and after a change of size, in pixels."""
SHIFT = 56
"""How far a shape moves, in pixels: a quarter of the picture."""

Colour = Literal["blue", "green", "white", "black"]

COLOURS: dict[Colour, tuple[float, float, float]] = {
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
    colour: Colour = "green"

    def draw(self) -> Float[Tensor, "3 224 224"]:
        """The picture, RGB in [0, 1], without intermediate colours."""
        inside = torch.from_numpy(figure(SIZE, self.y, self.x, self.radius, form=self.form))
        colour, white = (torch.tensor(COLOURS[c])[:, None, None] for c in (self.colour, "white"))
        return torch.where(inside, colour, white)


@dataclass(frozen=True)
class _Task:
    """A task of the study.

    Attributes:
        change: What becomes of a shape.
        form: Of the answer.
        colour: Of the answer.
        palette: What a pixel may be; it is rounded to the nearest.
        radius: Of the input; None draws it.
        rows: Least and greatest row of a centre.
        columns: Likewise.
    """

    change: Callable[[Shape], Shape]
    form: Form = "circle"
    colour: Colour = "green"
    palette: tuple[Colour, ...] = ("blue", "green", "white", "black")
    radius: int | None = None
    rows: tuple[int, int] = CENTRES
    columns: tuple[int, int] = CENTRES


_NO_BLUE: tuple[Colour, ...] = ("green", "white", "black")
_LESS = (CENTRES[0], CENTRES[1] - SHIFT)
_TASKS: dict[str, _Task] = {
    "color": _Task(lambda s: replace(s, colour="blue"), colour="blue"),
    "shape": _Task(lambda s: replace(s, form="square"), form="square", palette=_NO_BLUE),
    "size": _Task(lambda s: replace(s, radius=SMALL), radius=LARGE),
    "size+color": _Task(
        lambda s: replace(s, radius=SMALL, colour="blue"), colour="blue", radius=LARGE
    ),
    "shape+color": _Task(
        lambda s: replace(s, form="square", colour="blue"), form="square", colour="blue"
    ),
    "size+shape": _Task(
        lambda s: replace(s, radius=SMALL, form="square"),
        form="square",
        palette=_NO_BLUE,
        radius=LARGE,
    ),
    "mirror-horizontally": _Task(lambda s: replace(s, x=SIZE - 1 - s.x), palette=_NO_BLUE),
    "mirror-vertically": _Task(lambda s: replace(s, y=SIZE - 1 - s.y), palette=_NO_BLUE),
    "shift-right": _Task(lambda s: replace(s, x=s.x + SHIFT), palette=_NO_BLUE, columns=_LESS),
    "shift-down": _Task(lambda s: replace(s, y=s.y + SHIFT), palette=_NO_BLUE, rows=_LESS),
}
TASKS = ("color", "shape", "size", "size+color", "shape+color", "size+shape")
"""The paper's six."""
EXTENDED = tuple(name for name in _TASKS if name not in TASKS)
"""Four in which the place changes, which the paper names as failing."""


@dataclass(frozen=True)
class ShapesStudy:
    """Episodes of one task of the study; see :class:`vicl.evaluation.episodes.Dataset`.

    Attributes:
        task: One of :data:`TASKS` or :data:`EXTENDED`.
    """

    task: str

    def __post_init__(self) -> None:
        _task(self.task)

    @property
    def name(self) -> str:
        """Stands in episodes and reports."""
        return f"shapes, {self.task}"

    @property
    def kind(self) -> Kind:
        """What its episodes ask for."""
        return "shapes"

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, over the parameters of the drawing."""
        task = _TASKS[self.task]
        said = [self.task, SIZE, RADII, LARGE, SMALL, SHIFT, task.rows, task.columns, COLOURS]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def episodes(
        self, count: int | None = None, *, seed: int = 0, examples: int = 2
    ) -> list[Episode]:
        """Draw episodes: as many as are asked for, the paper's 100 by default.

        Args:
            count: How many; the first n are the same for every count.
            seed: Of the drawing, not negative.
            examples: How many an episode has; the paper has 2.

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
        drawn = (
            [Item(f"{self.task}/{index}/{role}", class_name=self.task) for role in roles]
            for index in range(number)
        )
        return [
            Episode(self.name, "shapes", seed, index, tuple(items[1:]), items[0])
            for index, items in enumerate(drawn)
        ]

    def load(self, episode: Episode) -> Case:
        """Draw an episode's pictures.

        Raises:
            DatasetError: If the episode is not of this task.
        """
        shapes = [self._shape(item, episode.seed) for item in (*episode.examples, episode.query)]
        change = _TASKS[self.task].change
        pairs = [(shape.draw(), change(shape).draw()) for shape in shapes]
        query, truth = pairs.pop()
        return Case(Prompt([Example(*pair) for pair in pairs], query), Truth(truth, name=self.task))

    def _shape(self, item: Item, seed: int) -> Shape:
        """The shape of an input, which follows from its name and the seed alone."""
        named = re.fullmatch(r"([a-z+-]+)/(\d{1,9})/(query|example\d{1,3})", item.image, re.ASCII)
        if named is None or named[1] != self.task:
            raise DatasetError(
                f"episode of {item.image!r}: is not of the study's task {self.task!r}, whose "
                f"pictures are called {self.task}/0/query and the like"
            )
        task = _TASKS[self.task]
        rng = episode_rng(f"shapes, {self.task}, {named[3]}", seed, int(named[2]))
        y, x, radius = (
            int(rng.integers(low, high + 1)) for low, high in (task.rows, task.columns, RADII)
        )
        return Shape(y, x, radius if task.radius is None else task.radius)


def shape_ious(
    answer: Float[np.ndarray, "3 s s"], truth: Float[np.ndarray, "3 s s"], task: str
) -> tuple[float, float]:
    """Compare an answer of the study with the truth; both are rounded to the task's colours.

    Args:
        answer: RGB in [0, 1].
        truth: The same.
        task: Of the study.

    Returns:
        The color-aware IoU, of the answer's right colour, and the color-blind one, of all that is
        not white.

    Raises:
        ValueError: If there is no such task.
    """
    wanted = _task(task)
    found, right = (_rounded(image, wanted.palette) for image in (answer, truth))
    colour, white = wanted.palette.index(wanted.colour), wanted.palette.index("white")
    return iou(found == colour, right == colour), iou(found != white, right != white)


def has_right_form(answer: Float[np.ndarray, "3 s s"], task: str) -> bool:
    """Say whether an answer is a square or a circle as its task asks, whatever its colour.

    A picture of white alone is neither.

    Args:
        answer: RGB in [0, 1].
        task: Of the study.

    Raises:
        ValueError: If there is no such task.
    """
    wanted = _task(task)
    found = _rounded(answer, wanted.palette)
    return form_of(found != wanted.palette.index("white")) == wanted.form


def _task(name: str) -> _Task:
    if name not in _TASKS:
        raise ValueError(f"task: got {name!r}, expected one of {', '.join(_TASKS)}")
    return _TASKS[name]


def _rounded(
    image: Float[np.ndarray, "3 s s"], palette: tuple[Colour, ...]
) -> Int[np.ndarray, "s s"]:
    """The index of each pixel's nearest colour, in 8 bits, so that a picture saved scores alike."""
    table = 255 * np.array([COLOURS[name] for name in palette])
    apart = np.square(np.round(255 * image)[None] - table[:, :, None, None]).sum(axis=1)
    return np.asarray(apart.argmin(axis=0))
