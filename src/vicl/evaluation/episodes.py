"""Episodes: which examples, which query, and the truth, the same on every machine.

A :class:`Dataset` lists its episodes and loads them.  An :class:`Episode` is plain data: it names
images and annotations, so that it can be written down (:func:`write_listing`) and replayed later,
with another model or by somebody else (:func:`read_listing`).

Episode `i` follows from the dataset's content, the seed and `i` alone: not from how many episodes
are asked for, the order in which files are listed, or who loads them when.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from pydantic import (
    AfterValidator,
    AliasChoices,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from torch import Tensor

from vicl.files import display
from vicl.files.faults import said
from vicl.prompt import Prompt
from vicl.tasks import TASKS, TaskName

Measures = TaskName | Literal["shapes", "rules"]
"""What the answers to a dataset's episodes are measured by: as their task's answers are, or by
measures of the dataset's own."""
MEASURES_NAMES: tuple[Measures, ...] = (*TASKS, "shapes", "rules")

Bounds = tuple[float, float, float, float]
"""A box: (x0, y0, x1, y1), half-open, in pixels of the image."""

Ink = tuple[tuple[float, float, float], tuple[float, float, float]]
"""The colours, RGB in [0, 1], of a mask or lines and of all else."""


_WHOLE = ConfigDict(extra="forbid")
"""A listing may come from elsewhere: a field that nobody knows is not passed over."""


def _task(said: str) -> str:
    """The task that a listing names; in older ones generated episodes were kinds of their own."""
    task = "image" if said in ("shapes", "rules") else said
    if task not in TASKS:
        raise ValueError(f"got the task {said[:80]!r}, expected one of {', '.join(TASKS)}")
    return task


_TaskRead = Annotated[
    TaskName, Field(validation_alias=AliasChoices("task", "kind")), AfterValidator(_task)
]


class DatasetError(ValueError):
    """A dataset that cannot be read; the message says what is missing and where it was sought."""


@dataclass(frozen=True)
class Item:
    """An image with its annotation: what examples and queries are.

    Attributes:
        image: Its file, relative to the dataset's folder, with forward slashes; for generated
            images a name.
        target: The annotation's files: one mask or picture, or one edge map per annotator (one
            `.mat` file of BSDS500 holds all of them). Empty where the image itself is the truth
            (colorization) or `boxes` are.
        class_name: What is marked; "" where there are no classes.
        value: The class in the mask; None where the mask marks one thing, by the table of
            :mod:`vicl.tasks.masks`.
        boxes: Of the class, for detection.
        group: Images of one group, such as the frames of a video, are near twins; "" for none.
        source: Where it comes from, if a dataset has several sources; "" otherwise.
    """

    image: str
    target: tuple[str, ...] = ()
    class_name: str = ""
    value: int | None = None
    boxes: tuple[Bounds, ...] = ()
    group: str = ""
    source: str = ""

    __pydantic_config__ = _WHOLE


@dataclass(frozen=True)
class Episode:
    """One question: examples, a query, and where its right answer is.

    Attributes:
        dataset: Name of the dataset, such as "pascal-5i, fold 0".
        task: What is asked for.
        seed: Of the drawing.
        index: Which episode of that dataset and seed, from 0.
        examples: At least one.
        query: Its image is asked about; its annotation is the truth.
    """

    dataset: str
    task: _TaskRead
    seed: int
    index: int
    examples: tuple[Item, ...]
    query: Item

    __pydantic_config__ = _WHOLE

    @property
    def class_name(self) -> str:
        """The query's."""
        return self.query.class_name

    @property
    def labels(self) -> dict[str, str]:
        """What episodes may be told apart by: "source", and "pair" for images in groups."""
        found = {"source": self.query.source} if self.query.source else {}
        if self.query.group:
            twins = any(item.group == self.query.group for item in self.examples)
            found["pair"] = "within a group" if twins else "across groups"
        return found


@dataclass(frozen=True, eq=False)
class Truth:
    """What the right answer is; everything at the query's size.

    Attributes:
        image: The right answer drawn, RGB in [0, 1].
        void: True where nobody says what is right, so that nothing is scored; None for nowhere.
        annotators: Edges: one map each, True on lines.
        boxes: Detection: the right boxes.
        name: Shapes: which task of the study it is; rules: which rule.
        ink: Rules: the colours of a mask or of lines; None where the answer is a picture.
    """

    image: Float[Tensor, "3 h w"]
    void: Bool[np.ndarray, "h w"] | None = None
    annotators: Bool[np.ndarray, "a h w"] | None = None
    boxes: tuple[Bounds, ...] = ()
    name: str = ""
    ink: Ink | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """A loaded episode.

    Attributes:
        prompt: Everything drawn as RGB in [0, 1], each image at its own size: what an engine sees.
        truth: What it does not see.
    """

    prompt: Prompt
    truth: Truth


@runtime_checkable
class Dataset(Protocol):
    """What episodes are drawn from."""

    @property
    def name(self) -> str:
        """Stands in episodes and reports."""
        ...

    @property
    def task(self) -> TaskName:
        """What its episodes ask for."""
        ...

    @property
    def measures(self) -> Measures:
        """What the answers are measured by."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, over what episodes are drawn from.

        That is names of files and annotations, and for generated ones their parameters.
        """
        ...

    def episodes(
        self, count: int | None = None, *, seed: int = 0, examples: int = 1
    ) -> list[Episode]:
        """Draw episodes.

        Args:
            count: How many; the first n are the same for every count. None for as many as there
                are queries, each once.
            seed: Of the drawing, not negative.
            examples: How many of them an episode has; the first k are the same for every number.

        Raises:
            DatasetError: If there are not enough images.
        """
        ...

    def load(self, episode: Episode) -> Case:
        """Read an episode's images; also one that was listed elsewhere.

        Raises:
            DatasetError: If a file is missing or broken; it names the file.
        """
        ...


def episode_rng(name: str, seed: int, index: int) -> np.random.Generator:
    """The randomness of one episode: of nothing else, and not shared with another dataset."""
    return np.random.default_rng([zlib.crc32(name.encode()), seed, index])


def write_listing(episodes: Iterable[Episode]) -> str:
    """List episodes as JSON lines."""
    return "".join(
        json.dumps(asdict(episode), ensure_ascii=False, sort_keys=True) + "\n"
        for episode in episodes
    )


def read_listing(text: str) -> list[Episode]:
    """Read what :func:`write_listing` wrote.

    Raises:
        DatasetError: If a line is not an episode, or names a file outside the dataset's folder.
    """
    episodes = []
    # Not splitlines(), which also cuts at characters that may stand in a name.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            episode = _EPISODE.validate_json(line, strict=True)
        except ValidationError as error:
            raise DatasetError(
                f"listing, line {number}: not an episode ({said(error)}); expected the lines that "
                "--list-episodes writes"
            ) from error
        _check(episode, number)
        episodes.append(episode)
    return episodes


def is_inside(name: str) -> bool:
    """Whether a name leads to somewhere inside a folder: relative, with no step upwards."""
    parts = name.split("/")
    drive = parts[0][1:2] == ":"
    return not drive and not {"\\", "\0"} & set(name) and not {"", ".", ".."} & set(parts)


def _check(episode: Episode, number: int) -> None:
    if not episode.examples or episode.seed < 0 or episode.index < 0:
        raise DatasetError(
            f"listing, line {number}: got {len(episode.examples)} examples, seed {episode.seed}, "
            f"index {episode.index}; expected at least one example, and no negative number"
        )
    for item in (*episode.examples, episode.query):
        for name in (item.image, *item.target):
            if not is_inside(name):
                raise DatasetError(
                    f"listing, line {number}: {display(name)} leads out of the dataset's folder; "
                    "expected a relative path without '..'"
                )


_EPISODE = TypeAdapter(Episode)
