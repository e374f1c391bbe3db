"""Looks near each other: found by the index exactly where comparing all with all finds them."""

from __future__ import annotations

import numpy as np
import pytest

from vicl.figures.arxiv.dataset import near
from vicl.figures.arxiv.dataset.near import MOST_DISTANCE, Likeness, LookIndex, Looks, pairs_among


def _looks(phashes: list[int], gradients: np.ndarray, owners: list[int] | None = None) -> Looks:
    numbers = np.array(owners or range(len(phashes)), np.int64)
    return Looks(numbers, np.array(phashes, np.uint64), gradients.astype(np.uint8))


def _all(looks: Looks) -> np.ndarray:
    return np.ones(len(looks), np.bool_)


def _turned(phash: int, bits: list[int]) -> int:
    return phash ^ sum(1 << bit for bit in bits)


@pytest.mark.parametrize("distance", range(14))
def test_the_index_finds_up_to_the_most_distance(distance: int) -> None:
    """Wherever the bits lie: spread over the bands as evenly as can be, and all in two."""
    rng = np.random.default_rng(distance)
    phash = int(rng.integers(1 << 63))
    spread = [16 * (i % 4) + i // 4 for i in range(distance)]
    together = list(range(distance))
    drawn = rng.choice(64, distance, replace=False).tolist()
    gradients = np.full((1, 128), 0b1010)
    index = LookIndex(there := _looks([phash], gradients), _all(there))
    for bits in (spread, together, drawn):
        found = index.likest(_looks([_turned(phash, bits)], gradients, [7]))
        if distance <= MOST_DISTANCE:
            assert found[7].distance == distance
            assert found[7].agreement == 1
        else:
            assert 7 not in found


def test_the_index_finds_what_all_with_all_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "_AT_ONCE", 1 << 9)  # so that there are several parts
    rng = np.random.default_rng(0)
    seeds = rng.integers(1 << 63, size=5).tolist()
    phashes = [
        _turned(seeds[i % 5], rng.choice(64, rng.integers(9), replace=False).tolist())
        for i in range(60)
    ]
    gradients = rng.integers(0, 256, (60, 128)) | rng.integers(0, 256, (60, 128))
    looks = _looks(phashes, gradients)
    expected = {number: pairs.likeness(0) for number, pairs in pairs_among(looks).by_picture()}
    assert len(expected) > 40
    for number, likest in expected.items():
        before = np.arange(60) < number
        found = LookIndex(looks, before).likest(looks.part(looks.places(number, number + 1)))
        assert found == {number: likest}


def test_gradients_must_agree() -> None:
    gradients = np.zeros((3, 128))
    gradients[0, :4] = gradients[1, :2] = 255
    gradients[2, :1] = 255
    looks = _looks([5, 5, 5], gradients)
    index = LookIndex(looks, np.array([True, False, False]))
    assert index.likest(looks) == {
        0: Likeness(0, 0, 1.0, False),
        1: Likeness(0, 0, 0.5, False),  # of 32 rises and falls that either has both have 16
    }


def test_the_likest_is_the_first_of_several() -> None:
    gradients = np.full((4, 128), 255)
    gradients[0, :32] = 0
    looks = _looks([9, 9, 9, 9], gradients)
    found = LookIndex(looks, np.array([True, True, True, False])).likest(looks.part(_all(looks)))
    assert [found[number].of for number in range(4)] == [0, 1, 1, 1]


def test_nothing_is_near_nothing() -> None:
    none = Looks.of([(), ()])
    assert LookIndex(none, _all(none)).likest(none) == {}
    assert len(pairs_among(none).pictures) == 0
