"""Examples that every query shares: those that cover a pool, or answer its other images best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vicl.images import ImageLike
from vicl.prompt import Example
from vicl.selection.index import Index
from vicl.selection.pool import Entry, Pool, PoolError, key_of
from vicl.selection.selectors import check_examples, first_fitting

_COVERED: Final = 64
"""So many examples that cover a pool are found; the others follow in their own order."""
_DRAWN: Final = 4096
"""Rows of which all pairs are compared."""

Score = Callable[[Sequence[Example], Example], float]
"""How well examples answer another one; :meth:`vicl.VisualPrompter.score`."""


@dataclass(frozen=True, eq=False)
class Fixed:
    """Gives every query the same examples, but for its own image.

    Attributes:
        pool: What was chosen from.
        order: Entries, best first, after which come the pool's others; at least `examples`, or
            some more, since a query may be one of them.
        examples: How many are chosen.
        select: How they were chosen, in a word.
    """

    pool: Pool
    order: tuple[Entry, ...]
    examples: int = 1
    select: str = "fixed"

    def __post_init__(self) -> None:
        check_examples(self.examples)

    def ranked(self, query: ImageLike) -> Iterable[Entry]:
        """See :meth:`Selector.ranked`."""
        return chain(self.order, self.pool.entries)

    def describe(self) -> dict[str, Any]:
        """See :meth:`Selector.describe`."""
        first = [str(e.image) for e in self.order[:_COVERED] if e.file is not None]
        return {"select": self.select, "examples": self.examples, "first": first}


def diverse(index: Index, examples: int = 1, *, seed: int = 0) -> Fixed:
    """Choose the images that together are like as many of a pool as can be.

    Args:
        index: Of labelled images.
        examples: How many, the same for every query.
        seed: See :func:`cover`.
    """
    entries = index.pool.entries
    first = cover(index.features, min(len(entries), _COVERED + examples), seed=seed)
    return Fixed(index.pool, tuple(entries[place] for place in first), examples, "diverse")


def next_to_label(index: Index, count: int, *, seed: int = 0) -> list[Entry]:
    """The images that should be labelled next: most like what no labelled image is like.

    Args:
        index: Of labelled images, or none, and others.
        count: How many; fewer where there are not as many.
        seed: See :func:`cover`.
    """
    places = range(len(index.pool))
    done = [place for place in places if index.pool.entries[place].annotation is not None]
    left = [place for place in places if index.pool.entries[place].annotation is None]
    found = cover(index.features[left], count, given=index.features[done], seed=seed)
    return [index.pool.entries[left[place]] for place in found]


def cover(
    features: Float[Tensor, "n d"],
    count: int,
    *,
    given: Float[Tensor, "m d"] | None = None,
    seed: int = 0,
) -> list[int]:
    """Choose rows greedily: each time the one by which the others' nearest come nearest.

    The greedy answer to facility location, at least 63% of the best one's worth.

    Args:
        features: Unit length. Of more than 4,096 rows so many are drawn, and only they count.
        count: How many to choose; fewer where there are not as many.
        given: Rows that are chosen already.
        seed: Of the draw.

    Returns:
        Places of rows, in the order in which they were chosen.
    """
    drawn = np.random.default_rng(seed).permutation(len(features))[:_DRAWN]
    places = torch.from_numpy(np.sort(drawn))
    rows = features[places]
    similar = rows @ rows.T
    best = torch.full((len(rows),), -1.0)
    if given is not None and len(given):
        best = (rows @ given.T).amax(dim=1)
    chosen: list[int] = []
    for _ in range(min(count, len(rows))):
        gains = (similar - best[:, None]).clamp_min(0).sum(dim=0)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        best = torch.maximum(best, similar[:, chosen[-1]])
    return [int(places[place]) for place in chosen]


def best_of(
    pool: Pool,
    score: Score,
    examples: int = 1,
    *,
    tries: int = 8,
    queries: int = 8,
    seed: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> Fixed:
    """Choose the examples that answer other images of the pool best.

    Sets of examples are drawn, and each is asked about the same images, but for its own.

    Args:
        pool: Labelled images.
        score: How well examples answer an image; more is better.
        examples: How many, the same for every query.
        tries: How many sets are drawn.
        queries: How many images each is asked about.
        seed: Of the sets and the images.
        advance: Is told when a set is measured.

    Raises:
        PoolError: If the pool has too few images to ask about any.
    """
    check_examples(examples)
    rng = np.random.default_rng(seed)

    def shuffled() -> list[Entry]:
        return [pool.entries[place] for place in rng.permutation(len(pool))]

    asked = shuffled()
    measured: list[tuple[float, list[Entry]]] = []
    for _ in range(tries):
        tried = first_fitting(shuffled(), pool, examples)
        own = {key_of(entry.image) for entry in tried}
        truths = [e.example() for e in asked if key_of(e.image) not in own][:queries]
        if not truths:
            raise PoolError(f"{pool.name}: has {len(pool)} images, too few to leave one out")
        shown = [entry.example() for entry in tried]
        measured.append((float(np.mean([score(shown, truth) for truth in truths])), tried))
        advance()
    measured.sort(key=lambda pair: -pair[0])
    order = tuple(entry for _, tried in measured for entry in tried)
    return Fixed(pool, order, examples, "best-of")
