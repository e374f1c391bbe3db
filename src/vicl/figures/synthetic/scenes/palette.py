"""Colours that a person tells apart."""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import lru_cache

from numpy.random import Generator

from vicl.figures.synthetic.scenes.chance import between, often, pick
from vicl.figures.synthetic.scenes.scene import COLOURS, Rgb

GREYS = ("black", "white", "grey")

_ALIKE = (
    ("red", "orange", "brown", "pink"),
    ("orange", "yellow", "brown"),
    ("cyan", "blue"),
    ("cyan", "green"),
    ("blue", "purple"),
    ("purple", "pink"),
    ("brown", "black"),
    ("grey", "white"),
    ("grey", "black"),
)
"""Groups of names that shadows, textures or small sizes make hard to tell apart."""

_DISTINCT = 0.38
"""Distance in RGB at which a thing stands out from its background."""


def distance(one: Rgb, other: Rgb) -> float:
    """Euclidean distance in RGB; between black and white it is the root of 3."""
    return math.dist(one, other)


@lru_cache(maxsize=16)
def unlike(name: str) -> tuple[str, ...]:
    """The names of colours that nobody takes for this one."""
    alike = {other for group in _ALIKE if name in group for other in group} | {name}
    return tuple(other for other in COLOURS if other not in alike)


def tone(rng: Generator, name: str) -> Rgb:
    """A colour that bears a name: the name's own, varied a little."""
    red, green, blue = COLOURS[name]
    return (
        min(1.0, max(0.0, red + between(rng, -0.06, 0.06))),
        min(1.0, max(0.0, green + between(rng, -0.06, 0.06))),
        min(1.0, max(0.0, blue + between(rng, -0.06, 0.06))),
    )


def mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    """A colour between two: `share` of the second."""
    return (
        one[0] + (other[0] - one[0]) * share,
        one[1] + (other[1] - one[1]) * share,
        one[2] + (other[2] - one[2]) * share,
    )


def second_tone(rng: Generator, colour: Rgb, *, shade: bool) -> Rgb:
    """A second colour for a texture that can be seen on the first.

    Args:
        rng: Source of chance.
        colour: The first.
        shade: A lighter or darker shade of the first, so that both count as one colour.
    """
    if shade or often(rng, 0.6):
        dark = sum(colour) / 3 < 0.5
        return mix(colour, (1.0, 1.0, 1.0) if dark else (0.0, 0.0, 0.0), between(rng, 0.45, 0.7))
    names = [name for name, other in COLOURS.items() if distance(colour, other) > 0.5]
    return tone(rng, pick(rng, names))


def backdrop(rng: Generator, avoid: str) -> tuple[Rgb, Rgb]:
    """Two colours for a background: pale, dark or coloured, and one near the first.

    Args:
        rng: Source of chance.
        avoid: Name of a colour from which both stay apart; "" for none.
    """
    white, black = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)

    def any_tone() -> Rgb:
        return tone(rng, pick(rng, tuple(COLOURS)))

    while True:
        kind = rng.random()
        if kind < 0.25:
            first, second = white, mix(white, any_tone(), 0.25)
        elif kind < 0.6:
            first = mix(any_tone(), white, between(rng, 0.5, 0.8))
            second = mix(first, any_tone(), between(rng, 0.2, 0.4))
        elif kind < 0.8:
            first = mix(any_tone(), black, between(rng, 0.6, 0.85))
            second = mix(first, any_tone(), between(rng, 0.1, 0.3))
        else:
            first = any_tone()
            second = mix(first, any_tone(), between(rng, 0.2, 0.5))
        if not avoid or stands_out(COLOURS[avoid], (first, second)):
            return first, second


def stands_out(colour: Rgb, behind: Collection[Rgb]) -> bool:
    """Whether a thing of a colour can be seen before all of some others."""
    return all(distance(colour, other) > _DISTINCT for other in behind)


@lru_cache(maxsize=64)
def visible_names(behind: tuple[Rgb, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of some names whose colours stand out; the one that does most if none does."""
    seen = tuple(name for name in names if stands_out(COLOURS[name], behind))
    if seen:
        return seen
    return (max(names, key=lambda n: min(distance(COLOURS[n], other) for other in behind)),)
