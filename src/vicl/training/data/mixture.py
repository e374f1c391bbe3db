"""Which source each training image comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property


@dataclass(frozen=True)
class Mixture:
    """Sources in proportion to their weights, spread evenly.

    Nothing is drawn at random: any stretch of samples holds each source's share of it to within a
    few samples, however small the share is, and where a sample comes from is known without
    looking at those before it.

    Attributes:
        weights: One a source, positive.
    """

    weights: tuple[float, ...]

    @cached_property
    def _parts(self) -> tuple[int, ...]:
        """The weights as exact whole numbers, so that runs of any length are exact too."""
        exact = [Fraction(weight) for weight in self.weights]
        denominator = math.lcm(*(weight.denominator for weight in exact))
        return tuple(int(weight * denominator) for weight in exact)

    def taken(self, samples: int) -> tuple[int, ...]:
        """How many of the first `samples` samples come from each source.

        The first source gets its share of them, rounded; the next its share of the rest; and so
        on.  Each number grows by one or by none from one sample to the next.
        """
        counts, rest, left = [], samples, sum(self._parts)
        for part in self._parts:
            count = (2 * part * rest + left) // (2 * left)  # part / left * rest, rounded
            counts.append(count)
            rest, left = rest - count, left - part
        return tuple(counts)

    def draw(self, sample: int) -> tuple[int, int]:
        """Say where a sample comes from.

        Args:
            sample: Its number in the run, counted from 0.

        Returns:
            The number of the source, and how many samples before this one came from there.
        """
        before, after = self.taken(sample), self.taken(sample + 1)
        source = next(s for s, count in enumerate(before) if after[s] > count)
        return source, before[source]
