"""Pairs of a task, to learn a prompt of pixels from: read, drawn, at the size of a canvas's cells.

Every query is shown with another pair of its class as the example, so that a few pairs make many
canvases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from jaxtyping import UInt8
from torch import Tensor

from vicl.canvas.layout import Layout
from vicl.canvas.moves import Move, moved
from vicl.images import DEFAULT_LIMIT_PIXELS, to_tensor
from vicl.prompt import Example, Prompt
from vicl.prompting.annotated import pool_classes
from vicl.prompting.drawing import drawn_alone
from vicl.selection.entry import Entry
from vicl.selection.pool import Pool
from vicl.tasks import MarkedTask, Task, get_task
from vicl.tasks.masks import ClassesLike
from vicl.training.seeds import Purpose, numbers
from vicl.tuning.layouts import DataError

KEPT: Final = 1 << 29
"""Bytes of drawn pairs that are kept: small sets are read once, large ones every time."""
LEAST: Final = 3
"""Pairs of a class: two to learn from, and one to hold out."""


class Pair(NamedTuple):
    """A pair of the pool.

    Attributes:
        entry: Its files.
        drawn: In which pass of the task it is drawn: the place of the class that it shows.
    """

    entry: Entry
    drawn: int


class Shown(NamedTuple):
    """A query with its example: places of two pairs, and how pictures are moved in their cells."""

    example: int
    query: int
    move: Move = (0, 0)


@dataclass(frozen=True, eq=False)
class Split:
    """Which pairs are learned from, and which are held out; places."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Among:
    """Places to draw from; see :meth:`Pairs.among`.

    Attributes:
        of: For each pass of the task those that are drawn in it, in their order.
        at: Where each stands among those.
    """

    of: Mapping[int, tuple[int, ...]]
    at: Mapping[int, int]


def task_of(pool: Pool, task: str, classes: ClassesLike) -> Task:
    """The task of a pool's pairs, of the classes that the user or else its files name."""
    return get_task(task, classes=pool_classes(pool, task, classes))


class Pairs:
    """The pairs of a pool, one for each class that an image shows.

    Args:
        pool: Labelled images.
        task: What draws them.
        layout: Of one example, on which they will stand; its cells are of one size.
        kept: Bytes of drawn pairs that are kept.

    Attributes:
        items: The pairs.
        broken: What is wrong with each that was found to be unreadable, by its place.

    Raises:
        DataError: If a class has too few.
    """

    def __init__(self, pool: Pool, task: Task, layout: Layout, *, kept: int = KEPT) -> None:
        self.task, self.layout = task, layout
        marks = task.marks if isinstance(task, MarkedTask) and task.passes > 1 else None
        entries = pool.readable.entries if marks else pool.labelled.entries
        self.items = tuple(
            Pair(entry, drawn)
            for entry in entries
            for drawn in ((0,) if marks is None else sorted(entry.among(marks)))
        )
        self.broken: dict[int, str] = {}
        self._kept: dict[int, UInt8[Tensor, "2 3 h w"]] = {}
        self._room = kept
        self._of = defaultdict[int, list[int]](list)
        for place, pair in enumerate(self.items):
            self._of[pair.drawn].append(place)
        few = [(k, len(places)) for k, places in self._of.items() if len(places) < LEAST]
        if few or not self.items:
            drawn, count = few[0] if few else (0, 0)
            named = f" of class {task.classes[drawn]}" if marks else ""
            raise DataError(
                f"{pool.name}: has {count} labelled images{named}, expected at least {LEAST}: two "
                "to learn from and one to hold out; add some, or name other --classes"
            )

    def __len__(self) -> int:
        return len(self.items)

    def split(self, share: float, seed: int) -> Split:
        """Hold out a share of each class, at least one, by a seed."""
        held: set[int] = set()
        for drawn, places in sorted(self._of.items()):
            count = min(len(places) - 2, max(1, round(share * len(places))))
            order = numbers(seed, Purpose.SPLIT, drawn).permutation(places)
            held.update(order[:count].tolist())
        return Split(tuple(p for p in range(len(self)) if p not in held), tuple(sorted(held)))

    def load(self, place: int) -> Example:
        """A pair at the cells' size, RGB in [0, 1].

        Raises:
            ValueError: If it cannot be read.
        """
        found = self._kept.get(place)
        if found is None:
            entry, drawn = self.items[place]
            read = drawn_alone(entry.example(), self.task, limit_pixels=DEFAULT_LIMIT_PIXELS)
            cell = self.layout.query
            both = [self.layout.draw(to_tensor(one), cell) for one in _both(read[drawn])]
            found = torch.stack(both).mul(255).round().byte()
            if found.numel() <= self._room:
                self._kept[place] = found
                self._room -= found.numel()
        return Example(*(found.float() / 255))

    def readable(self, place: int) -> Example | None:
        """A pair, or None where it cannot be read; `broken` says why."""
        if place in self.broken:
            return None
        try:
            return self.load(place)
        except (ValueError, OSError) as error:
            self.broken[place] = str(error)
            return None

    def among(self, places: Sequence[int]) -> Among:
        """Places to draw from, looked through once, so that no draw has to."""
        of = defaultdict[int, list[int]](list)
        at = {}
        for place in places:
            own = of[self.items[place].drawn]
            at[place] = len(own)
            own.append(place)
        return Among({drawn: tuple(own) for drawn, own in of.items()}, at)

    def or_another(self, place: int, among: Among) -> int:
        """The place of a pair, or of the next of its class that can be read.

        Raises:
            DataError: If there is none.
        """
        return self._from(among.at[place], among.of[self.items[place].drawn])

    def shown(
        self, query: int, among: Among, moves: Sequence[Move], seed: int, number: int
    ) -> Shown:
        """A query with an example of its class and a move, both at random by a sample's number.

        Where one cannot be read, the next that can stands in.

        Args:
            query: Its place.
            among: Places from which the example is taken, but for the query's own.
            moves: From which the move is.
            seed: Of the run.
            number: Of the sample.

        Raises:
            DataError: If too few can be read.
        """
        rng = numbers(seed, Purpose.PAIRS, number)
        own, at = among.of[self.items[query].drawn], among.at.get(query)
        start = int(rng.integers(len(own) - (at is not None)))
        start += at is not None and start >= at
        example = self._from(start, own, but=query)
        return Shown(example, query, moves[int(rng.integers(len(moves)))])

    def _from(self, start: int, own: Sequence[int], but: int | None = None) -> int:
        """The first that can be read, going round, without one."""
        for step in range(len(own)):
            place = own[(start + step) % len(own)]
            if place != but and self.readable(place) is not None:
                return place
        first = next(self.broken[place] for place in own if place != but)
        count = len(own) - (but in own)
        raise DataError(f"none of {count} pairs can be read; the first: {first}")

    def clean(self, shown: Shown, layout: Layout) -> tuple[Tensor, Tensor]:
        """The canvas of a query with its answer, (3, H, W) in [0, 1], and its hole (H, W)."""
        example, query = self.load(shown.example), self.load(shown.query)
        prompt = Prompt([example], query.input)
        canvas = next(layout.compose_moved(prompt, [shown.move]))
        layout.answer.of(canvas.image)[:] = moved(to_tensor(query.output), shown.move)
        return canvas.image, canvas.hole


def _both(example: Example) -> tuple[Tensor, Tensor]:
    return to_tensor(example.input), to_tensor(example.output)
