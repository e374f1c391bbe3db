"""Boxes and how they are read from masks."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from vicl.tasks.boxes import Box, bounding_box, largest_component

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))


def flood_components(mask: NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    """List 8-connected components by breadth-first search, in reading order."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    for start in sorted(left):
        if start not in left:
            continue
        left.remove(start)
        component, waiting = {start}, deque([start])
        while waiting:
            y, x = waiting.popleft()
            for near in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    component.add(near)
                    waiting.append(near)
        found.append(component)
    return found


def test_bounding_box_by_hand() -> None:
    mask = np.zeros((5, 7), dtype=bool)
    mask[1, 2] = mask[3, 5] = True
    assert bounding_box(mask) == (2.0, 1.0, 6.0, 4.0)
    assert bounding_box(mask.astype(np.uint8) * 7) == (2.0, 1.0, 6.0, 4.0)
    assert bounding_box(np.ones((5, 7), dtype=bool)) == (0.0, 0.0, 7.0, 5.0)
    assert bounding_box(np.zeros((5, 7), dtype=bool)) is None


@given(MASKS)
def test_bounding_box_is_tight(mask: NDArray[np.bool_]) -> None:
    found = bounding_box(mask)
    if found is None:
        assert not mask.any()
        return
    x0, y0, x1, y1 = map(int, found)
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    assert mask[y0].any()
    assert mask[y1 - 1].any()
    assert mask[:, x0].any()
    assert mask[:, x1 - 1].any()


@given(MASKS)
def test_largest_component_matches_a_flood_fill(mask: NDArray[np.bool_]) -> None:
    components = flood_components(mask)
    expected: set[tuple[int, int]] = max(components, key=len, default=set())
    got = largest_component(mask)
    assert got.dtype == np.bool_
    assert got.shape == mask.shape
    assert {(int(y), int(x)) for y, x in np.argwhere(got)} == expected


def test_corners_connect() -> None:
    assert largest_component(np.eye(6, dtype=bool)).sum() == 6


def test_box_turns_numbers_into_floats() -> None:
    box = Box((1, 2, np.float32(3.5), np.int64(4)), label=2, score=1)
    assert box == Box((1.0, 2.0, 3.5, 4.0), label=2, score=1.0)
    assert [type(value) for value in (*box.box, box.label, box.score)] == [float] * 4 + [int, float]


@given(st.integers(0, 5), st.integers(0, 5))
def test_a_box_may_be_empty_but_not_reversed(x: int, width: int) -> None:
    assert Box((x, 0, x + width, 0)).box[2] == x + width
    with pytest.raises(ValueError, match="x0 <= x1"):
        Box((x + 1 + width, 0, x, 1))


@pytest.mark.parametrize("values", [(0, 0, 1), (0, 0, 1, float("nan")), (0, 0, float("inf"), 1)])
def test_a_box_needs_four_finite_numbers(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="four finite numbers"):
        Box(values)


@pytest.mark.parametrize("label", [0, -1, 1.5])
def test_labels_start_at_one(label: float) -> None:
    with pytest.raises(ValueError, match="label: got"):
        Box((0, 0, 1, 1), label=label)


def test_scores_are_finite() -> None:
    with pytest.raises(ValueError, match="score: got"):
        Box((0, 0, 1, 1), score=float("nan"))
