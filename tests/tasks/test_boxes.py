"""Boxes and how they are read from masks."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from vicl.tasks.boxes import SPECK, Box, component_boxes, components, mask_box

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


def test_components_by_hand() -> None:
    mask = np.zeros((5, 7), dtype=bool)
    mask[1, 2] = mask[3, 5] = mask[3, 6] = True
    (first, one), (second, two) = components(mask)
    assert first == (slice(1, 2), slice(2, 3))
    assert second == (slice(3, 4), slice(5, 7))
    assert one.tolist() == [[True]]
    assert two.tolist() == [[True, True]]
    assert components(np.zeros((5, 7), dtype=bool)) == []


@given(MASKS)
def test_components_match_a_flood_fill(mask: NDArray[np.bool_]) -> None:
    expected = flood_components(mask)
    least = SPECK * max(map(len, expected), default=0)
    expected = [pixels for pixels in expected if len(pixels) >= least]
    got = components(mask, specks="largest")
    assert len(got) == len(expected)
    for ((rows, columns), inside), pixels in zip(got, expected, strict=True):
        found = {(int(y) + rows.start, int(x) + columns.start) for y, x in np.argwhere(inside)}
        assert found == pixels
        assert inside.any(axis=0).all()
        assert inside.any(axis=1).all()


def test_the_box_of_a_mask_is_half_open() -> None:
    mask = np.zeros((9, 12), bool)
    mask[2, 7] = mask[5, 3] = True
    assert mask_box(mask) == (3, 2, 8, 6)
    assert mask_box(np.ones((9, 12), bool)) == (0, 0, 12, 9)


def test_corners_connect() -> None:
    assert len(components(np.eye(6, dtype=bool))) == 1


def test_specks_are_left_out_but_never_all_there_is() -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[10:20, 10:20] = True
    mask[50, 50] = True  # 1% of the object
    assert len(components(mask)) == 1
    many = np.zeros((100, 100), dtype=bool)
    many[::10, ::10] = True  # 100 of one size: each is 1% of all
    assert len(components(many)) == 100
    many[0, 1] = True  # the largest is 2 of 101 pixels
    assert len(components(many, specks="largest")) == 100


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


def test_many_classes_cost_what_their_own_boxes_cost() -> None:
    # 225 classes, each in a block of its own, and one more in two places.
    labels = np.kron(np.arange(1, 226).reshape(15, 15), np.ones((40, 40))).astype(np.uint8)
    labels[0, 0] = labels[-1, -1] = 226
    boxes = component_boxes(labels, (1200, 600))
    assert len(boxes) == 227
    assert boxes[100].box == (400.0, 480.0, 440.0, 560.0)
    assert [box.box for box in boxes[225:]] == [(0, 0, 1, 2), (599, 1198, 600, 1200)]
