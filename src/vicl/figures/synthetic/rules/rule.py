"""What a rule is, and how one is added: by writing one function under a decorator.

A rule turns a scene into an input and an output.  What may differ between figures (a colour, a
width, a strength) are its *values*: drawn once for a figure, shared by all its rows, and plain
enough to be written down as JSON.

Three kinds of functions become rules:

- `@pairs`: (scene, size, values) -> :class:`Pair`, which is free to draw both pictures;
- `@changes`: (scene, values) -> scene; the input shows the one, the output the other;
- `@filters`: (picture, values) -> picture; it knows nothing of what the picture shows.

Changes and filters can be joined to other rules: see
:mod:`vicl.figures.synthetic.rules.composition`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator

from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import Scene, Wish

Values: TypeAlias = dict[str, Any]
"""Parameters of a rule: strings, numbers and lists of them."""

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""

Image: TypeAlias = UInt8[np.ndarray, "h w 3"]
"""RGB."""

Measure = Literal["iou", "f", "psnr"]
"""By what an answer is scored: a mask in the two colours `values["on"]` and `values["off"]`, lines
in such colours, or a picture."""


@dataclass(frozen=True, eq=False)
class Pair:
    """One row of a figure.

    Attributes:
        input: RGB.
        output: RGB, of the same size.
    """

    input: UInt8[np.ndarray, "h w 3"]
    output: UInt8[np.ndarray, "h w 3"]


Draw: TypeAlias = Callable[[Generator], Values]
Apply: TypeAlias = Callable[[Scene, Size, Values], Pair]
Change: TypeAlias = Callable[[Scene, Values], Scene]
Filter: TypeAlias = Callable[[Image, Values], Image]


@dataclass(frozen=True, eq=False)
class Rule:
    """A task that figures show.

    Attributes:
        name: Unique.
        group: The file it stands in.
        what: One line: what a person would say the rule is.
        draw: Draws the values of a figure.
        wish: What it needs of its scenes, given the values.
        apply: Draws a row.
        measure: By what answers are scored.
        weight: How often it is drawn beside others.
        plain: Whether the input is the plain picture of the scene.
        change: The rule as a change of scenes, if it is one.
        filter: The rule as a filter of pictures, if it is one.
        parts: Of a composition, the first rule and the second.
    """

    name: str
    group: str
    what: str
    draw: Draw
    wish: Callable[[Values], Wish]
    apply: Apply
    measure: Measure = "psnr"
    weight: float = 1.0
    plain: bool = True
    change: Change | None = None
    filter: Filter | None = None
    parts: tuple[Rule, Rule] | None = None


RULES: dict[str, Rule] = {}
"""All rules by name, in the order in which they are defined."""

ANYTHING = Wish(things=(0, 6))
"""The wish of rules that care for pixels only: photographs without masks will do."""

COLOURED = Wish(things=(0, 6), coloured=True)
"""Of those that care for colours, too."""

SOME = Wish(things=(1, 4))
"""Of those that show where things are."""


def register(rule: Rule) -> Rule:
    """Add a rule to :data:`RULES`.

    Raises:
        ValueError: If there is one of that name.
    """
    if rule.name in RULES:
        raise ValueError(f"rule: there is already one named {rule.name!r}; choose another name")
    RULES[rule.name] = rule
    return rule


def pairs(
    *,
    draw: Draw = lambda rng: {},
    wish: Wish | Callable[[Values], Wish] = ANYTHING,
    measure: Measure = "psnr",
    weight: float = 1.0,
    plain: bool = True,
    change: Change | None = None,
    filter: Filter | None = None,
    name: str = "",
    what: str = "",
) -> Callable[[Apply], Apply]:
    """Make a rule of a function (scene, size, values) -> pair.

    Its name is the function's, and what it is the first line of the docstring, where several rules
    do not share the function.
    """

    def add(function: Apply) -> Apply:
        said = what or (function.__doc__ or "").strip().split("\n")[0].rstrip(".")
        if not said:
            raise ValueError(f"rule {function.__name__}: has no docstring, expected one line on it")
        register(
            Rule(
                name=name or function.__name__.replace("_", "-"),
                group=function.__module__.rpartition(".")[2],
                what=said,
                draw=draw,
                wish=wish if callable(wish) else lambda values: wish,
                apply=function,
                measure=measure,
                weight=weight,
                plain=plain,
                change=change,
                filter=filter,
            )
        )
        return function

    return add


def changes(
    *,
    draw: Draw = lambda rng: {},
    wish: Wish | Callable[[Values], Wish],
    weight: float = 1.0,
) -> Callable[[Change], Change]:
    """Make a rule of a function (scene, values) -> scene."""

    def add(function: Change) -> Change:
        @wraps(function)
        def apply(scene: Scene, size: Size, values: Values) -> Pair:
            return render_both(scene, function(scene, values), size)

        pairs(draw=draw, wish=wish, weight=weight, change=function)(apply)
        return function

    return add


def filters(
    *,
    draw: Draw = lambda rng: {},
    wish: Wish | Callable[[Values], Wish] = ANYTHING,
    weight: float = 1.0,
) -> Callable[[Filter], Filter]:
    """Make a rule of a function (picture, values) -> picture of the same size."""

    def add(function: Filter) -> Filter:
        @wraps(function)
        def apply(scene: Scene, size: Size, values: Values) -> Pair:
            image = render(scene, size).image
            return Pair(image, function(image, values))

        pairs(draw=draw, wish=wish, weight=weight, filter=function)(apply)
        return function

    return add


def render_both(before: Scene, after: Scene, size: Size) -> Pair:
    """A pair of two scenes."""
    return Pair(render(before, size).image, render(after, size).image)
