"""Selectors: what chooses examples from a pool for a query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from vicl.images import ImageLike, fingerprint, to_tensor
from vicl.prompt import Example
from vicl.selection.index import Index
from vicl.selection.pool import Entry, Pool, PoolError, own_file


@runtime_checkable
class Selector(Protocol):
    """Anything that chooses examples for a query.

    A choice depends on the query, the pool and the selector's own fields alone.
    """

    @property
    def pool(self) -> Pool:
        """What it chooses from."""
        ...

    @property
    def examples(self) -> int:
        """How many it chooses, of each class that is asked for."""
        ...

    def ranked(self, query: ImageLike) -> Iterable[Entry]:
        """Entries, best first; among them perhaps the query's own, or one image several times.

        Raises:
            vicl.ImageError: If the query cannot be opened.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What a choice depends on beside query and pool, as plain values."""
        ...


def choose(selector: Selector, query: ImageLike) -> tuple[Example, ...]:
    """Choose examples for a query: never its own file, and no image twice.

    Where the pool is asked for classes, as many are chosen as show each of them `examples` times;
    one that shows only what is shown often enough is passed over.

    Raises:
        PoolError: If there are too few.
        ValueError: If the query, or an example's annotation, cannot be read.
    """
    asked = selector.pool.asked
    lacking = dict.fromkeys(range(len(asked or "1")), selector.examples)
    taken, found = {own_file(query)} - {None}, list[Entry]()
    for entry in selector.ranked(query):
        own = own_file(entry.image)
        shown = (entry.among(asked) if asked else frozenset({0})) & lacking.keys()
        if own in taken or not shown:
            continue
        found.append(entry)
        taken |= {own} - {None}
        lacking = {key: count - (key in shown) for key, count in lacking.items()}
        lacking = {key: count for key, count in lacking.items() if count}
        if not lacking:
            return tuple(entry.example() for entry in found)
    count = selector.examples - next(iter(lacking.values()))
    of = f" of {asked.names[next(iter(lacking))]!r}" if asked else ""
    raise PoolError(
        f"{selector.pool.name}: has {count} images{of} beside the query, expected "
        f"{selector.examples}, as many as are to be examples; ask for fewer"
    )


@dataclass(frozen=True, eq=False)
class Random:
    """Chooses at random.

    Attributes:
        pool: Labelled images.
        examples: How many are chosen.
        seed: With the query's pixels it determines the choice, whatever else is asked.
    """

    pool: Pool
    examples: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self.examples)

    def ranked(self, query: ImageLike) -> Iterable[Entry]:
        """See :meth:`Selector.ranked`."""
        own = int.from_bytes(fingerprint(to_tensor(query))[:16], "little")
        order = np.random.default_rng([self.seed, own]).permutation(len(self.pool))
        return (self.pool.entries[place] for place in order)

    def describe(self) -> dict[str, Any]:
        """See :meth:`Selector.describe`."""
        return {"select": "random", "examples": self.examples, "seed": self.seed}


@dataclass(frozen=True, eq=False)
class Nearest:
    """Chooses the images most like the query: UnsupPR, by any encoder.

    Source: Zhang et al. 2023, arXiv:2301.13670, section 3.2.

    Attributes:
        index: Of labelled images; `index.only(index.pool.showing("dog"))` restricts the class.
        examples: How many are chosen, nearest first.
    """

    index: Index
    examples: int = 1

    def __post_init__(self) -> None:
        _check(self.examples)

    @property
    def pool(self) -> Pool:
        """See :attr:`Selector.pool`."""
        return self.index.pool

    def ranked(self, query: ImageLike) -> Iterator[Entry]:
        """See :meth:`Selector.ranked`."""
        scores, given = self.index.scores(query), 0
        # The best few are found without sorting all; most often these are enough.
        for count in (min(2 * self.examples + 8, len(scores)), len(scores)):
            order = torch.topk(scores, count).indices.tolist()
            yield from (self.pool.entries[place] for place in order[given:])
            given = count

    def describe(self) -> dict[str, Any]:
        """See :meth:`Selector.describe`."""
        encoder = self.index.encoder
        how = {"encoder": encoder.name, "weights": encoder.weights_hash}
        return {"select": "nearest", "examples": self.examples, **how, "of": self.index.looking}


@dataclass(frozen=True, eq=False)
class Fixed:
    """Gives every query the same examples, but for its own image.

    Attributes:
        pool: What was chosen from.
        order: Entries, best first: one more than `examples`, where a query may be one of them.
        examples: How many are chosen.
        select: How they were chosen, in a word.
    """

    pool: Pool
    order: tuple[Entry, ...]
    examples: int = 1
    select: str = "fixed"

    def __post_init__(self) -> None:
        _check(self.examples)

    def ranked(self, query: ImageLike) -> Iterable[Entry]:
        """See :meth:`Selector.ranked`."""
        return self.order

    def describe(self) -> dict[str, Any]:
        """See :meth:`Selector.describe`."""
        chosen = [str(entry.image) for entry in self.order if entry.file is not None]
        return {"select": self.select, "examples": self.examples, "order": chosen}


def _check(examples: int) -> None:
    if examples < 1:
        raise ValueError(f"examples: got {examples}, expected at least 1")
