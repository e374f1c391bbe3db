"""Datasets made of files: how their episodes are drawn.

An episode draws its examples one after another, each from what is left, so that the first k are the
same however many are asked for.  A query's own image is never among them.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from vicl.evaluation.datasets.reading import PUBLISHED_CROP, Crop, draw
from vicl.evaluation.episodes import (
    Case,
    DatasetError,
    Episode,
    Item,
    Measures,
    Truth,
    episode_rng,
)
from vicl.files import display
from vicl.prompt import Example, Prompt
from vicl.tasks import TaskName

Drawing = Literal["queries", "classes", "published"]
"""How episodes are drawn:

- "queries": the queries in an order drawn from the seed, each once; examples at random;
- "classes": a class uniformly, then different images of it; without end;
- "published": the queries in the order of their list, over and over; examples at random.

Where there are classes, examples are of the query's class and source.
"""

PUBLISHED_COUNT = 1000
"""Episodes of the published protocol.  Source: Bar et al. 2022, section 4.1."""

Peers = tuple[str, str]
"""(source, class): what a query shares with its examples; ("", "") where there are no classes."""


@dataclass(frozen=True)
class ItemDataset:
    """Items to ask about, and a pool of items to show.

    Attributes:
        name: See :class:`vicl.evaluation.episodes.Dataset`.
        task: Likewise.
        root: The folder that the items' files are in.
        queries: What is asked about.  Their order counts for the drawing "published" alone.
        pool: What examples are drawn from.
        drawing: How.
        stream: Names the randomness (see :func:`episode_rng`).
        void: Value of mask pixels that nobody labelled; None if there is none, or if such pixels
            are background.
        crop: What is shown of photographs that are to be colorized.
    """

    name: str
    task: TaskName
    root: Path
    queries: tuple[Item, ...]
    pool: tuple[Item, ...]
    drawing: Drawing
    stream: str
    void: int | None = None
    crop: Crop = None

    @classmethod
    def of(
        cls,
        name: str,
        task: TaskName,
        root: Path,
        queries: Sequence[Item],
        pool: Sequence[Item] | None = None,
        *,
        published: bool,
        stream: str = "",
        drawing: Drawing = "queries",
        void: int | None = None,
        crop: Crop = None,
    ) -> ItemDataset:
        """A dataset as it is asked about by default, or by the published protocol.

        That draws "published", takes void pixels for background, and of photographs to be colorized
        shows the centre.  Queries without an example are left out; without a pool, the queries are
        it, and without a stream it has the dataset's name.

        Raises:
            DatasetError: If no query is left.
        """
        return cls(
            name=f"{name}, published" if published else name,
            task=task,
            root=root,
            queries=tuple(queries),
            pool=tuple(queries if pool is None else pool),
            drawing="published" if published else drawing,
            stream=stream or name,
            void=None if published else void,
            crop=PUBLISHED_CROP if published and task == "colorization" else crop,
        ).for_examples(1)

    def __post_init__(self) -> None:
        for item in (*self.queries, *self.pool):
            for name in (item.image, *item.target, item.class_name, item.source, item.group):
                try:
                    name.encode()
                except UnicodeEncodeError as error:
                    raise DatasetError(
                        f"{display(self.root)}: the name {display(name)} cannot be written as "
                        "UTF-8, and so not listed; rename it"
                    ) from error

    @property
    def measures(self) -> Measures:
        """Those of its task."""
        return self.task

    @cached_property
    def fingerprint(self) -> str:
        """See :attr:`vicl.evaluation.episodes.Dataset.fingerprint`; name and root do not count."""
        content = {
            "kind": self.task,  # the name that fingerprints began with
            "drawing": self.drawing,
            "stream": self.stream,
            "void": self.void,
            "crop": self.crop,
            "queries": [asdict(item) for item in self._in_order()],
            "pool": [asdict(item) for item in _sorted(self.pool)],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def episodes(
        self, count: int | None = None, *, seed: int = 0, examples: int = 1
    ) -> list[Episode]:
        """See :meth:`vicl.evaluation.episodes.Dataset.episodes`.

        Without a count, the published drawing gives 1000; drawing by classes, which is without
        end and may give a pair again, gives way to each query once.
        """
        if examples < 1 or seed < 0 or (count is not None and count < 0):
            raise DatasetError(
                f"episodes: got count={count}, seed={seed}, examples={examples}; expected at least "
                "one example, and no negative number"
            )
        if count is None and self.drawing == "classes":
            return replace(self, drawing="queries").episodes(seed=seed, examples=examples)
        if count is None:
            count = PUBLISHED_COUNT if self.drawing == "published" else len(self.queries)
        if self.drawing == "queries" and count > len(self.queries):
            raise DatasetError(
                f"count: got {count}, expected at most {len(self.queries)}, since {self.name} asks "
                "about each query once"
            )
        self._check(examples)
        groups = _groups(self.pool)
        if self.drawing == "classes":
            return [self._by_class(groups, seed, index, examples) for index in range(count)]
        queries = self._in_order()
        if self.drawing == "queries":
            order = episode_rng(f"{self.stream}, order", seed, 0).permutation(len(queries))
            queries = [queries[int(i)] for i in order]
        return [
            self._about(queries[index % len(queries)], groups, seed, index, examples)
            for index in range(count)
        ]

    def load(self, episode: Episode) -> Case:
        """See :meth:`vicl.evaluation.episodes.Dataset.load`."""
        where = f"episode {episode.index} of {episode.dataset}"
        if episode.task != self.task:
            raise DatasetError(
                f"{where}: got an episode of {episode.task}, expected {self.task}, which is what "
                f"{self.name} asks for"
            )
        try:
            *shown, asked = (
                draw(self.root, item, self.task, void=self.void, crop=self.crop)
                for item in (*episode.examples, episode.query)
            )
        except ValueError as error:  # the readers' own errors, which name the file
            raise DatasetError(f"{where}: {error}") from error
        return Case(
            Prompt([Example(one.image, one.output) for one in shown], asked.image),
            Truth(asked.output, asked.void, asked.annotators, asked.boxes),
        )

    def for_examples(self, examples: int) -> ItemDataset:
        """The same without queries for which there are fewer examples than that.

        Raises:
            DatasetError: If no query is left.
        """
        others = _others(self.queries, self.pool)
        kept = tuple(q for q, n in zip(self.queries, others, strict=True) if n >= examples)
        if not kept:
            raise DatasetError(
                f"{self.name} in {self.root.absolute()}: none of {len(self.queries)} queries has "
                f"{examples} other image(s) of its class to show, among {len(self.pool)}"
            )
        if self.drawing != "classes":
            return replace(self, queries=kept)
        left = {_peers(query) for query in kept}
        pool = tuple(item for item in self.pool if _peers(item) in left)
        return replace(self, queries=kept, pool=pool)

    def _in_order(self) -> list[Item]:
        """Queries in an order that does not depend on who listed them, except as published."""
        return list(self.queries) if self.drawing == "published" else _sorted(self.queries)

    def _check(self, examples: int) -> None:
        queries = self._in_order()
        for query, others in zip(queries, _others(queries, self.pool), strict=True):
            if others < examples:
                raise DatasetError(
                    f"examples: got {examples}, but for {query.image} there are {others} other "
                    f"images{f' of {query.class_name!r}' if query.class_name else ''} in "
                    f"{self.name}; ask for fewer, or leave such queries out (open_dataset does, "
                    "told the number of examples)"
                )

    def _by_class(
        self, groups: dict[Peers, list[Item]], seed: int, index: int, examples: int
    ) -> Episode:
        rng = episode_rng(self.stream, seed, index)
        names = sorted(groups)
        pool = groups[names[int(rng.integers(len(names)))]]
        first, query = (pool[int(i)] for i in rng.choice(len(pool), size=2, replace=False))
        further = _choose(rng, pool, (first, query), examples - 1)
        return self._episode(seed, index, (first, *further), query)

    def _about(
        self, query: Item, groups: dict[Peers, list[Item]], seed: int, index: int, examples: int
    ) -> Episode:
        rng = episode_rng(self.stream, seed, index)
        chosen = _choose(rng, groups[_peers(query)], (query,), examples)
        return self._episode(seed, index, chosen, query)

    def _episode(self, seed: int, index: int, examples: tuple[Item, ...], query: Item) -> Episode:
        return Episode(self.name, self.task, seed, index, examples, query)


def _choose(
    rng: np.random.Generator, pool: Sequence[Item], taken: Iterable[Item], count: int
) -> tuple[Item, ...]:
    """Draw items of different images one after another, none of an image that is taken."""
    images = {item.image for item in taken}
    chosen: list[Item] = []
    for _ in range(count):
        left = [item for item in pool if item.image not in images]
        chosen.append(left[int(rng.integers(len(left)))])
        images.add(chosen[-1].image)
    return tuple(chosen)


def _peers(item: Item) -> Peers:
    return (item.source, item.class_name) if item.class_name else ("", "")


def _groups(pool: Sequence[Item]) -> dict[Peers, list[Item]]:
    groups: defaultdict[Peers, list[Item]] = defaultdict(list)
    for item in _sorted(pool):
        groups[_peers(item)].append(item)
    return dict(groups)


def _others(queries: Sequence[Item], pool: Sequence[Item]) -> list[int]:
    """How many images there are to show for each query: of its group, without its own."""
    images = {group: {item.image for item in items} for group, items in _groups(pool).items()}
    shown = [(images.get(_peers(query), set()), query.image) for query in queries]
    return [len(some) - (own in some) for some, own in shown]


def _sorted(items: Sequence[Item]) -> list[Item]:
    return sorted(
        items,
        key=lambda item: (
            *(item.image, item.source, item.class_name, item.target),
            *(-1 if item.value is None else item.value, item.boxes),
        ),
    )
