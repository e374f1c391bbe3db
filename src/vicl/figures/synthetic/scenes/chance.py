"""Short names for drawing at random; `Generator.choice` takes ten times as long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from numpy.random import Generator

T = TypeVar("T")


def pick(rng: Generator, values: Sequence[T]) -> T:
    """One of some values, all equally likely."""
    return values[int(rng.random() * len(values))]


def between(rng: Generator, low: float, high: float) -> float:
    """A number from a range, as a plain float."""
    return low + (high - low) * rng.random()


def whole(rng: Generator, low: int, high: int) -> int:
    """A whole number from a range, both ends included."""
    return low + int(rng.random() * (high - low + 1))


def often(rng: Generator, share: float) -> bool:
    """True in this share of draws."""
    return rng.random() < share


def fresh_seed(rng: Generator) -> int:
    """A seed for what is drawn later."""
    return int(rng.integers(1 << 31))
