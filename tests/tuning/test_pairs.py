"""Pairs to learn from: which example stands beside a query."""

from __future__ import annotations

from typing import Any, SupportsIndex

import numpy as np
import pytest

from vicl.canvas.layout import Layout
from vicl.selection.pool import open_pool
from vicl.tasks import get_task
from vicl.training.seeds import Purpose, numbers
from vicl.tuning.layouts import DataError
from vicl.tuning.pairs import Pairs

MOVES = [(0, 0), (1, 0), (0, 1)]


class Counting(tuple[Any, ...]):
    """Counts how often one of it is looked at."""

    looks = 0

    def __getitem__(self, place: SupportsIndex | slice) -> Any:
        Counting.looks += 1
        return super().__getitem__(place)


def pairs_of(count: int) -> Pairs:
    """Masks whose values 1 and 2 take turns: two classes."""
    shown = [
        (np.full((8, 8, 3), n, np.uint8), np.full((8, 8), 1 + n % 2, np.uint8))
        for n in range(count)
    ]
    task = get_task("segmentation", classes={"one": 1, "two": 2})
    layout = Layout.grid(1, canvas_size=(64, 64), patch_size=8)
    pairs = Pairs(open_pool([(a, {"one": b == 1, "two": b == 2}) for a, b in shown]), task, layout)
    assert len(pairs) == 2 * count  # nobody can say what values in memory show
    return pairs


def test_an_example_is_any_other_of_the_class_at_random() -> None:
    pairs = pairs_of(6)
    places = [*range(9), 11]
    among = pairs.among(places)
    for number in range(40):
        query = number % 12
        rng = numbers(3, Purpose.PAIRS, number)
        drawn = pairs.items[query].drawn
        others = [p for p in places if p != query and pairs.items[p].drawn == drawn]
        example, move = others[rng.integers(len(others))], MOVES[rng.integers(3)]
        assert pairs.shown(query, among, MOVES, 3, number) == (example, query, move)


def test_the_next_that_can_be_read_stands_in() -> None:
    pairs = pairs_of(4)  # of a class: 0, 2, 4, 6
    among = pairs.among(range(8))
    pairs.broken |= {4: "cut off", 6: "cut off"}
    assert [pairs.or_another(place, among) for place in (2, 4, 6)] == [2, 0, 0]
    assert {pairs.shown(0, among, MOVES, 0, number).example for number in range(20)} == {2}
    pairs.broken |= {2: "empty"}
    with pytest.raises(DataError, match="none of 3 pairs can be read; the first: empty"):
        pairs.shown(0, among, MOVES, 0, 0)


def test_many_pairs_take_no_longer_than_few() -> None:
    looks = []
    for count in (3, 12):
        pairs = pairs_of(count)
        among = pairs.among(range(len(pairs)))
        pairs.items = Counting(pairs.items)
        Counting.looks = 0
        pairs.shown(pairs.or_another(0, among), among, MOVES, 0, 0)
        looks.append(Counting.looks)
    assert looks[0] == looks[1] > 0
