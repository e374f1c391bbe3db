"""Protocols of few-shot learning: draws of a few images a class, base and new classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

SHOTS: Final = (1, 2, 4, 8, 16)
"""Images of each class in the published tables."""

_MOST_FOR_VALIDATION: Final = 4


def few_shot(labels: Sequence[int], shots: int, seed: int) -> list[int]:
    """Draw so many images of each class.

    What is drawn of a class follows from the seed, the class and its images alone, so other classes
    may come and go; and a draw of fewer shots is the beginning of one of more.

    Args:
        labels: Class of each image.
        shots: How many of each; a class with fewer gives all.
        seed: Of the draw.

    Returns:
        Numbers of the drawn images, class by class.

    Raises:
        ValueError: If `shots` is less than 1.
    """
    if shots < 1:
        raise ValueError(f"shots: got {shots}, expected 1 or more, such as {SHOTS}")
    known = np.asarray(labels)
    found: list[int] = []
    for label in np.unique(known):
        own = np.flatnonzero(known == label)
        rng = np.random.default_rng((seed, int(label)))
        found += rng.permutation(own)[:shots].tolist()
    return found


def shots_for_validation(shots: int) -> int:
    """So many images of each class are for validation beside so many for training: 4 at most.

    Source: Zhou et al. 2021, arXiv:2109.01134, published code.
    """
    return min(shots, _MOST_FOR_VALIDATION)


def base_and_new(classes: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The classes that are learned from, and those that are only asked about.

    Sorted by name, the first half is learned from; of an odd number, one more.

    Args:
        classes: Names, each once.

    Raises:
        ValueError: If there are fewer than four: two classes are the least to tell apart.

    Source: Zhou et al. 2022, arXiv:2203.05557, section 4.1 and published code.
    """
    if len(classes) < 4:
        raise ValueError(
            f"classes: got {', '.join(classes) or 'none'}; expected four or more, two to learn "
            "from and two new ones"
        )
    names = sorted(classes)
    half = -(-len(names) // 2)
    return tuple(names[:half]), tuple(names[half:])


@dataclass(frozen=True)
class BaseToNew:
    """Accuracies in [0, 1] (or in per cent) over base and over new classes.

    Attributes:
        base: Among the base classes alone.
        new: Among the new classes alone.
    """

    base: float
    new: float

    @property
    def harmonic(self) -> float:
        """The harmonic mean of both; 0 where both are 0."""
        both = self.base + self.new
        return 2 * self.base * self.new / both if both else 0.0


def averaged(rows: Sequence[BaseToNew]) -> BaseToNew:
    """The published average of several data sets: its harmonic mean is that of the mean accuracies.

    Raises:
        ValueError: If there are none.
    """
    if not rows:
        raise ValueError("rows: got none, expected the accuracies of one data set or more")
    return BaseToNew(
        sum(row.base for row in rows) / len(rows), sum(row.new for row in rows) / len(rows)
    )
