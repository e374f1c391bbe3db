"""Few images of each class; base and new classes."""

from __future__ import annotations

import pytest

from vicl.tuning.protocols import (
    BaseToNew,
    averaged,
    base_and_new,
    few_shot,
    shots_for_validation,
)

LABELS = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 0, 0, 0, 1, 1]


def test_each_class_gives_its_shots() -> None:
    drawn = few_shot(LABELS, 3, seed=0)
    assert sorted(LABELS[at] for at in drawn) == [0] * 3 + [1] * 3 + [2] * 3
    assert len(set(drawn)) == 9
    assert drawn == few_shot(LABELS, 3, seed=0)
    assert any(few_shot(LABELS, 3, seed=seed) != drawn for seed in range(1, 5))


def test_a_class_with_fewer_gives_all() -> None:
    drawn = few_shot(LABELS, 16, seed=0)
    assert sorted(drawn) == list(range(len(LABELS)))


def test_more_shots_hold_the_fewer_and_other_classes_change_nothing() -> None:
    few = {at for at in few_shot(LABELS, 2, seed=3) if LABELS[at] == 1}
    assert few < set(few_shot(LABELS, 4, seed=3))
    without = [7 if label == 0 else label for label in LABELS]
    assert few == {at for at in few_shot(without, 2, seed=3) if without[at] == 1}


def test_no_shots_are_refused() -> None:
    with pytest.raises(ValueError, match="shots: got 0, expected 1 or more"):
        few_shot(LABELS, 0, seed=0)


def test_validation_has_four_at_most() -> None:
    assert [shots_for_validation(n) for n in (1, 2, 4, 8, 16)] == [1, 2, 4, 4, 4]


def test_the_first_half_of_the_sorted_names_is_the_base() -> None:
    assert base_and_new(["e", "b", "a", "d", "c"]) == (("a", "b", "c"), ("d", "e"))
    with pytest.raises(ValueError, match="classes: got a, b, c; expected four or more"):
        base_and_new(["a", "b", "c"])


def test_the_published_means_are_those_of_the_accuracies() -> None:
    # CLIP, CoOp and CoCoOp over eleven data sets. Source: Zhou et al. 2022, table 1.
    for base, new, wanted in ((69.34, 74.22, 71.70), (82.69, 63.22, 71.66), (80.47, 71.69, 75.83)):
        assert BaseToNew(base, new).harmonic == pytest.approx(wanted, abs=0.005)
    rows = [BaseToNew(0.8, 0.4), BaseToNew(0.6, 0.8)]
    found = averaged(rows)
    assert (found.base, found.new) == pytest.approx((0.7, 0.6))
    assert found.harmonic == pytest.approx(2 * 0.7 * 0.6 / 1.3)
    assert BaseToNew(0.0, 0.0).harmonic == 0
    with pytest.raises(ValueError, match="rows: got none"):
        averaged([])
