"""Episodes of the synthetic rules: seen ones, ones that training never shows, and new content.

Nothing is read from files: an :class:`Item` is a name such as "seen/12/query", and its pictures
follow from the name, the rule and the episode's seed.  Random numbers come from a stream of its
own, which no training figure is drawn from.

The six tasks of the paper's study are left to :mod:`vicl.evaluation.datasets.generated.shapes`.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal, get_args

import numpy as np

from vicl.evaluation.episodes import Case, DatasetError, Episode, Item, Measures, Truth
from vicl.figures.synthetic.rules import HELD_OUT_RULES, TRAINING_MIXTURE
from vicl.figures.synthetic.rules.paper import PAPER_TASKS
from vicl.figures.synthetic.scenes.families import FAMILIES, HELD_OUT_FAMILIES
from vicl.figures.synthetic.subjects import Subject, SubjectDrawer
from vicl.images import to_tensor
from vicl.prompt import Example, Prompt
from vicl.tasks import TaskName

SIZE = 111
"""Side of a picture, in pixels: that of the published cell, on a canvas of 224."""
QUERIES = 100
"""Episodes of a set, if nothing else is asked for."""
MOST_EXAMPLES = 8
"""An episode's rows are always drawn for so many, so that the first k never change."""
SMALLEST = 32
"""Least side of a picture, in pixels."""

SetName = Literal["seen", "unseen", "content"]
"""Seen rules on content that is new; rules that training never shows; seen rules on families of
content that training never shows."""
SETS: tuple[SetName, ...] = get_args(SetName)

_UNSEEN = tuple(name for name in HELD_OUT_RULES if name not in PAPER_TASKS)


@dataclass(frozen=True)
class RuleEpisodes:
    """Episodes of a set of rules; see :class:`vicl.evaluation.episodes.Dataset`.

    Attributes:
        part: Which set.
        size: Side of a picture, in pixels.

    Raises:
        ValueError: If there is no such set, or the size is too small.
    """

    part: SetName
    size: int = SIZE
    task: ClassVar[TaskName] = "image"
    measures: ClassVar[Measures] = "rules"

    def __post_init__(self) -> None:
        if self.part not in SETS:
            raise ValueError(f"part: got {self.part!r}, expected one of {', '.join(SETS)}")
        if self.size < SMALLEST:
            raise ValueError(f"size: got {self.size}, expected at least {SMALLEST} pixels")

    @property
    def name(self) -> str:
        """Stands in episodes and reports."""
        size = "" if self.size == SIZE else f" at {self.size} px"
        return f"rules{size}, {self.part}"

    @property
    def rules(self) -> tuple[str, ...]:
        """Names of its rules."""
        return _UNSEEN if self.part == "unseen" else tuple(TRAINING_MIXTURE)

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the families of content that its pictures show."""
        return tuple(HELD_OUT_FAMILIES if self.part == "content" else FAMILIES)

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, over what is drawn from."""
        said = [self.part, self.size, self.rules, self.families, MOST_EXAMPLES]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def episodes(
        self, count: int | None = None, *, seed: int = 0, examples: int = 1
    ) -> list[Episode]:
        """See :meth:`vicl.evaluation.episodes.Dataset.episodes`; without a count, 100.

        They are spread evenly over the rules; one has at most 8 examples.

        Raises:
            ValueError: If a number is out of its range.
        """
        number = QUERIES if count is None else count
        if number < 1 or not 1 <= examples <= MOST_EXAMPLES or seed < 0:
            raise ValueError(
                f"got count={count}, examples={examples}, seed={seed}; expected at least one "
                f"episode, 1 to {MOST_EXAMPLES} examples, and a seed of at least 0"
            )
        order = _rng(self.part, seed).permutation(len(self.rules))
        return [
            self._episode(self.rules[order[index % len(order)]], seed, index, examples)
            for index in range(number)
        ]

    def _episode(self, rule: str, seed: int, index: int, examples: int) -> Episode:
        roles = ["query", *(f"example{n}" for n in range(1, examples + 1))]
        query, *others = (Item(f"{self.part}/{index}/{role}", class_name=rule) for role in roles)
        return Episode(self.name, self.task, seed, index, tuple(others), query)

    def load(self, episode: Episode) -> Case:
        """Draw an episode's pictures.

        Raises:
            DatasetError: If the episode is not of this set.
        """
        name, examples = episode.class_name, len(episode.examples)
        if (
            name not in self.rules
            or examples > MOST_EXAMPLES
            or episode != self._episode(name, episode.seed, episode.index, examples)
        ):
            raise DatasetError(
                f"episode of {episode.query.image!r} ({name!r}): is none of {self.name!r}, whose "
                f"pictures are called {self.part}/0/query, {self.part}/0/example1 and so on up to "
                f"{MOST_EXAMPLES}, and whose classes are rules: {', '.join(self.rules)}"
            )
        task = self._task(name, episode.seed, episode.index)
        rule, values = task.rules[0], task.values[0]
        pairs = [
            rule.apply(scene, (self.size, self.size), values)
            for scene in task.scenes[: examples + 1]
        ]
        query, *shown = ((to_tensor(pair.input), to_tensor(pair.output)) for pair in pairs)
        ink = None if rule.measure == "psnr" else (_colour(values["on"]), _colour(values["off"]))
        return Case(
            Prompt([Example(*pair) for pair in shown], query[0]),
            Truth(query[1], name=name, ink=ink),
        )

    def _task(self, rule: str, seed: int, index: int) -> Subject:
        """The rule's values and the scenes: the query's, then those of the examples."""
        drawer = _drawer(rule, held_out=self.part == "content")
        rng = _rng(f"{self.part}, {rule}", seed, index)
        return drawer.draw(rng, rules=1, rows=MOST_EXAMPLES + 1)


def _colour(levels: Iterable[int]) -> tuple[float, float, float]:
    red, green, blue = (level / 255 for level in levels)
    return red, green, blue


@cache
def _drawer(rule: str, *, held_out: bool) -> SubjectDrawer:
    families = HELD_OUT_FAMILIES if held_out else FAMILIES
    return SubjectDrawer({rule: 1.0}, tuple(families.values()))


def _rng(stream: str, *numbers: int) -> np.random.Generator:
    """Randomness of this dataset alone.

    With a spawn key the seed is longer than any that a training figure is drawn from, which is a
    source's seed and a figure's number: no such number can give the same stream.
    """
    key = zlib.crc32(f"rules, {stream}".encode())
    return np.random.default_rng(np.random.SeedSequence(numbers, spawn_key=(key,)))
