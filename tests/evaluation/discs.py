"""A small dataset of drawn discs, and engines for it, for the tests of the runner.

They stand in a module of their own, so that scoring processes can import them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vicl.engine import Filled
from vicl.evaluation.episodes import Case, DatasetError, Episode, Item, Measures, Truth, episode_rng
from vicl.images import to_tensor
from vicl.prompt import Example, Prompt
from vicl.tasks import TaskName

SIZE = (24, 30)
CLASSES = ("sun", "moon", "star")


def disc(name: str) -> tuple[Tensor, Tensor]:
    """A gray picture with a bright disc, and the disc; both follow from the name."""
    rng = episode_rng(name, 0, 0)
    y, x, radius = rng.uniform(6, 18), rng.uniform(6, 24), rng.uniform(3, 8)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    noise = rng.uniform(0.2, 0.7, SIZE)
    picture = torch.from_numpy(np.where(inside, 0.9, noise)).float()
    mask = torch.from_numpy(inside).float()
    return picture.expand(3, -1, -1).contiguous(), mask.expand(3, -1, -1).contiguous()


@dataclass(frozen=True)
class Discs:
    """Episode i asks about disc "q<i>"; those in `broken` cannot be read."""

    broken: tuple[int, ...] = ()
    name: str = "discs"
    task: TaskName = "segmentation"
    fingerprint: str = "ab" * 32

    @property
    def measures(self) -> Measures:
        return self.task

    def episodes(
        self, count: int | None = None, *, seed: int = 0, examples: int = 1
    ) -> list[Episode]:
        def item(name: str, index: int) -> Item:
            source = "sky" if index % 2 else "drawn"
            return Item(name, class_name=CLASSES[index % 3], source=source)

        return [
            Episode(
                self.name,
                self.task,
                seed,
                index,
                tuple(item(f"e{seed}-{index}-{k}", index) for k in range(examples)),
                item(f"q{index}", index),
            )
            for index in range(7 if count is None else count)
        ]

    def load(self, episode: Episode) -> Case:
        if episode.index in self.broken:
            raise DatasetError(f"{episode.query.image}.jpg: no such file; check the path")
        examples = [Example(*disc(item.image)) for item in episode.examples]
        query, truth = disc(episode.query.image)
        return Case(Prompt(examples, query), Truth(truth))


@dataclass
class Level:
    """Answers white where the query is brighter than a level; writes down what it was asked.

    Attributes:
        fails_at: Prompts whose query has this mean cannot be answered.
        stops_after: Prompts after which it is interrupted, as by Ctrl-C.
        log: A file that gets a line for each prompt.
    """

    level: float = 0.8
    name: str = "level"
    weights_hash: str | None = None
    max_size: int | None = None
    fails_at: float | None = None
    stops_after: int | None = None
    log: Path | None = None
    batches: list[int] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        self.batches.append(len(prompts))
        found = []
        for prompt in prompts:
            query = to_tensor(prompt.query)
            mean = float(query.mean())
            if self.stops_after is not None and len(self.asked) >= self.stops_after:
                raise KeyboardInterrupt
            self.asked.append(mean)
            if self.log is not None:
                with self.log.open("a") as stream:
                    stream.write(f"{mean!r}\n")
            if mean == self.fails_at:
                raise RuntimeError("nothing to see")
            found.append(Filled((query > self.level).float()))
        return found


def mean_of_query(index: int) -> float:
    """What :class:`Level` writes down for episode `index`."""
    return float(disc(f"q{index}")[0].mean())
