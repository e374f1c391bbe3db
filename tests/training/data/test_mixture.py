"""Mixtures: shares, and that every draw of a source comes once."""

from __future__ import annotations

import itertools

import pytest

from vicl.training.data.mixture import Mixture


@pytest.mark.parametrize(
    "weights", [(1.0,), (1.0, 1.0), (0.1, 0.2, 0.7), (1000.0, 1.0, 1e-3), (1.0, 1e-9), (3.0, 2.0)]
)
def test_shares_are_kept_in_every_stretch(weights: tuple[float, ...]) -> None:
    mixture = Mixture(weights)
    total = sum(weights)
    for samples in (0, 1, 7, 64, 1000, 12345, 10**9, 10**15):
        taken = mixture.taken(samples)
        assert sum(taken) == samples
        for weight, count in zip(weights, taken, strict=True):
            assert abs(count - samples * (weight / total)) <= 2 + samples * 1e-15


def test_every_draw_of_a_source_comes_once_and_in_order() -> None:
    mixture = Mixture((5.0, 1.0, 2.5))
    draws: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for sample in range(1700):
        source, draw = mixture.draw(sample)
        draws[source].append(draw)
    assert all(found == list(range(len(found))) for found in draws.values())
    assert [len(found) for found in draws.values()] == [1000, 200, 500]
    assert mixture.taken(1700) == (1000, 200, 500)


def test_runs_of_any_length_are_exact() -> None:
    mixture = Mixture((0.1, 0.2))
    for start in (10**12, 10**15 + 7):
        before = mixture.taken(start)
        seen = [mixture.draw(start + step) for step in range(30)]
        for source in (0, 1):
            draws = [draw for which, draw in seen if which == source]
            assert draws == list(range(before[source], before[source] + len(draws)))


def test_a_small_share_comes_at_its_time() -> None:
    mixture = Mixture((999.0, 1.0))
    rare = [sample for sample in range(5000) if mixture.draw(sample)[0] == 1]
    assert len(rare) == 5
    assert {b - a for a, b in itertools.pairwise(rare)} == {1000}
