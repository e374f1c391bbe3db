"""Random numbers that depend on the seed and on what they are for, and on nothing else."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What random numbers are for; each purpose has its own, whatever the others draw."""

    SOURCE = 0
    ORDER = 1
    REPLACEMENT = 2
    AUGMENTATION = 3
    SHARDS = 4
    BUFFER = 5
    REVIVAL = 6
    HOLES = 7
    VARIANTS = 8
    COMPOSED = 9
    EPISODES = 10
    MOSAICS = 11
    ASKED = 12
    CLICKS = 13
    SPLIT = 14
    TRIALS = 15
    PAIRS = 16
    COINS = 17
    NAMED = 18


def numbers(seed: int, purpose: Purpose, *place: int) -> np.random.Generator:
    """Make the generator of one place, such as one sample.

    Args:
        seed: Of the run, not negative.
        purpose: What it is for.
        place: Numbers that tell this place from the others of its purpose, not negative; as many
            for every place of a purpose.
    """
    return np.random.default_rng([seed, purpose, *place])
