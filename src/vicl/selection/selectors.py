"""Selectors: what chooses examples from a pool for a query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from vicl.images import DEFAULT_LIMIT_PIXELS, ImageLike, fingerprint, to_tensor
from vicl.prompt import Example
from vicl.selection.index import Index
from vicl.selection.pool import Entry, Pool, PoolError, key_of


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
    """Choose examples for a query, as :func:`chosen` does, and read them.

    Raises:
        PoolError: If there are too few.
        ValueError: If the query, or an example's annotation, cannot be read.
    """
    return tuple(entry.example() for entry in chosen(selector, query))


def chosen(selector: Selector, query: ImageLike) -> list[Entry]:
    """The entries of a pool that are a query's examples: never its own file, and no image twice.

    Where the pool is asked for classes, as many are chosen as show each of them `examples` times;
    one that shows only what is shown often enough is passed over.

    Raises:
        PoolError: If there are too few.
        ValueError: If the query, or what an image shows, cannot be read.
    """
    taken = {key_of(query)}
    return first_fitting(selector.ranked(query), selector.pool, selector.examples, taken=taken)


def first_fitting(
    ranked: Iterable[Entry], pool: Pool, examples: int, *, taken: Iterable[str | int] = ()
) -> list[Entry]:
    """The first entries that show each class that the pool is asked for so many times.

    Args:
        ranked: Best first.
        pool: What they are of.
        examples: So many of each class.
        taken: Images that are passed over (:func:`vicl.selection.pool.key_of`).

    Raises:
        PoolError: If there are too few.
    """
    asked, found, seen = pool.asked, list[Entry](), set(taken)
    lacking = dict.fromkeys(range(len(asked or "1")), examples)
    for entry in ranked:
        own = key_of(entry.image)
        shown = (entry.among(asked) if asked else frozenset({0})) & lacking.keys()
        if own in seen or not shown:
            continue
        found.append(entry)
        seen.add(own)
        lacking = {key: count - (key in shown) for key, count in lacking.items()}
        lacking = {key: count for key, count in lacking.items() if count}
        if not lacking:
            return found
    first = next(iter(lacking))
    of = f" of {asked.names[first]!r}" if asked else ""
    raise PoolError(
        f"{pool.name}: has {examples - lacking[first]} images{of} beside the query, expected "
        f"{examples}, as many as are to be examples; ask for fewer"
    )


@dataclass(frozen=True, eq=False)
class Random:
    """Chooses at random.

    Attributes:
        pool: Labelled images.
        examples: How many are chosen.
        seed: With the query's pixels it determines the choice, whatever else is asked.
        limit_pixels: Of queries.
    """

    pool: Pool
    examples: int = 1
    seed: int = 0
    limit_pixels: int = DEFAULT_LIMIT_PIXELS

    def __post_init__(self) -> None:
        check_examples(self.examples)

    def ranked(self, query: ImageLike) -> Iterable[Entry]:
        """See :meth:`Selector.ranked`."""
        own = int.from_bytes(
            fingerprint(to_tensor(query, limit_pixels=self.limit_pixels))[:16], "little"
        )
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
        check_examples(self.examples)

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
        return {
            "select": "nearest" if self.index.head_hash is None else "learned",
            "examples": self.examples,
            "encoder": [encoder.name, encoder.weights_hash, self.index.looking],
            "head": self.index.head_hash,
        }


def check_examples(examples: int) -> None:
    """Refuse fewer than one.

    Raises:
        ValueError: If there are.
    """
    if examples < 1:
        raise ValueError(f"examples: got {examples}, expected at least 1")
