"""Which things: those that share something, the one that stands out, the one that is marked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import PIL.Image
from jaxtyping import UInt8
from numpy.random import Generator
from PIL import ImageDraw

from vicl.figures.synthetic.rules.drawing import (
    bounds,
    draw_ink,
    draw_levels,
    paint,
    pick,
    pixels,
    row_rng,
    seen,
    shrink,
    union,
)
from vicl.figures.synthetic.rules.rule import Apply, Draw, Image, Pair, Size, Values, changes, pairs
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import (
    COLOURS,
    POSITIONS,
    SHAPES,
    TEXTURES,
    Attribute,
    Rendered,
    Scene,
    Thing,
    Wish,
    attribute_of,
)

_NAMES: dict[Attribute, tuple[str, ...]] = {
    "colour": tuple(COLOURS),
    "size": ("small", "large"),
    "shape": SHAPES,
    "texture": TEXTURES,
    "position": POSITIONS,
}
_MARK, _MARKED, _SALIENT = 11, 12, 13

_ROOM = 0.02
"""Share of the cell that shows of a thing to which a mark can be put."""


def _value(attribute: Attribute, *, ink: bool = True) -> Draw:
    def draw(rng: Generator) -> Values:
        chosen = {"attribute": attribute, "value": pick(rng, _NAMES[attribute])}
        return {**(draw_ink(rng) if ink else {}), **chosen}

    return draw


def divided(values: Values) -> Wish:
    """Scenes in which some things have the value, and some have not."""
    return Wish(
        things=(2, 6),
        attribute=values["attribute"],
        value=values["value"],
        # Without touching, sizes and halves of the cell are plain to see.
        apart=values["attribute"] in ("size", "position"),
    )


def chosen(scene: Scene, values: Values) -> list[bool]:
    """Of each thing, whether it has the value."""
    return [values["value"] in attribute_of(thing, values["attribute"]) for thing in scene.things]


def _part(scene: Scene, size: Size, values: Values) -> Pair:
    """The mask of the chosen things."""
    shown = render(scene, size)
    mask = union(shown.visible[np.array(chosen(scene, values), np.bool_)])
    return Pair(shown.image, paint(mask, values["on"], values["off"]))


_CHOICES: tuple[tuple[Attribute, float, str], ...] = (
    ("colour", 2.0, "A mask of the things of one colour"),
    ("size", 1.0, "A mask of the things of one size"),
    ("shape", 2.0, "A mask of the things of one shape"),
    ("texture", 1.0, "A mask of the things of one texture"),
    ("position", 1.0, "A mask of the things in one half of the picture"),
)
for _attribute, _weight, _what in _CHOICES:
    pairs(
        draw=_value(_attribute), wish=divided, measure="iou", weight=_weight,
        name=f"choose-{_attribute}", what=_what,
    )(_part)  # fmt: skip


def _any_value(rng: Generator) -> Values:
    attributes: tuple[Attribute, ...] = ("colour", "shape", "size")
    return _value(pick(rng, attributes), ink=False)(rng)


@changes(draw=_any_value, wish=divided)
def erase(scene: Scene, values: Values) -> Scene:
    """The things of one colour, shape or size are gone."""
    kept = zip(scene.things, chosen(scene, values), strict=True)
    return replace(scene, things=tuple(thing for thing, gone in kept if not gone))


@pairs(
    draw=draw_ink, wish=Wish(things=(3, 6), movable=True, apart=True), measure="iou", plain=False
)
def salient(scene: Scene, size: Size, values: Values) -> Pair:
    """A mask of the one thing that strikes the eye among small, pale ones."""
    number = int(row_rng(scene, _SALIENT).integers(len(scene.things)))
    things = tuple(
        thing.but(size=max(thing.size, 0.2), opacity=1.0) if index == number else _dull(thing)
        for index, thing in enumerate(scene.things)
    )
    order = (*things[:number], *things[number + 1 :], things[number])
    shown = render(replace(scene, things=order), size)
    return Pair(shown.image, paint(shown.visible[-1], values["on"], values["off"]))


def _dull(thing: Thing) -> Thing:
    return thing.but(size=min(thing.size, 0.07), opacity=0.35, relief="flat")


def _marking(rng: Generator) -> Values:
    return {**draw_ink(rng), "mark": draw_levels(rng)}


def marked_number(scene: Scene, shown: Rendered) -> int:
    """Number of the thing of a scene that gets the mark: one that the mark does not hide."""
    options = seen(shown, _ROOM) or seen(shown) or list(range(len(scene.things)))
    return pick(row_rng(scene, _MARKED), options)


def draw_dot(shown: Rendered, number: int, rng: Generator, colour: list[int]) -> Image:
    """A dot with a rim that shows on every colour, well inside a thing."""
    size = shown.image.shape
    y, x = pick(rng, inner_points(shown.visible[number], pixels(size, 0.03)))
    return _stroke(shown.image, [(x, y)], colour, pixels(size, 0.035))


def draw_box(shown: Rendered, number: int, rng: Generator, colour: list[int]) -> Image:
    """A loose frame with a rim that shows on every colour."""
    size = (shown.image.shape[0], shown.image.shape[1])
    box = bounds(shown.visible[number] >= 128) or (0, 0, *size)
    space = pixels(size, 0.02) + rng.integers(0, pixels(size, 0.03) + 1, 4)
    # A frame stays in the picture, else it cannot be seen.
    top, left = max(0, box[0] - int(space[0])), max(0, box[1] - int(space[1]))
    bottom = min(size[0] - 1, box[2] + int(space[2]))
    right = min(size[1] - 1, box[3] + int(space[3]))
    canvas = PIL.Image.fromarray(shown.image)
    pen = ImageDraw.Draw(canvas)
    width = pixels(size, 0.018)
    outer = (left - 1, top - 1, right + 1, bottom + 1)
    pen.rectangle(outer, None, _rim(colour), width + 2)
    pen.rectangle((left, top, right, bottom), None, (colour[0], colour[1], colour[2]), width)
    return np.asarray(canvas)


def draw_scribble(shown: Rendered, number: int, rng: Generator, colour: list[int]) -> Image:
    """A stroke through a thing that stays on it, as far as the thing is not bent."""
    size = shown.image.shape
    points = inner_points(shown.visible[number], pixels(size, 0.03))
    drawn = [pick(rng, points) for _ in range(5)]
    axis = int(rng.integers(2))
    ordered = sorted(drawn, key=lambda point: point[axis])
    return _stroke(shown.image, [(x, y) for y, x in ordered], colour, pixels(size, 0.012))


def _stroke(image: Image, points: list[tuple[int, int]], colour: list[int], radius: int) -> Image:
    """A line through points (x, y), in a colour with a rim."""
    canvas = PIL.Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    for reach, ink in ((radius + 1, _rim(colour)), (radius, (colour[0], colour[1], colour[2]))):
        if len(points) > 1:
            pen.line(points, ink, 2 * reach + 1, joint="curve")
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - reach, y - reach, x + reach, y + reach), ink)
    return np.asarray(canvas)


_Mark = Callable[[Rendered, int, Generator, list[int]], Image]


def _marked(mark: _Mark) -> Apply:
    def apply(scene: Scene, size: Size, values: Values) -> Pair:
        shown = render(scene, size)
        number = marked_number(scene, shown)
        image = mark(shown, number, row_rng(scene, _MARK), values["mark"])
        return Pair(image, paint(shown.visible[number], values["on"], values["off"]))

    return apply


for _name, _mark, _what in (
    ("dot", draw_dot, "a dot on it"),
    ("box", draw_box, "a box around it"),
    ("scribble", draw_scribble, "a scribble on it"),
):
    pairs(
        draw=_marking, wish=Wish(things=(2, 5)), measure="iou", weight=1.5, plain=False,
        name=f"marked-{_name}", what=f"A mask of the thing that has {_what}",
    )(_marked(_mark))  # fmt: skip


def _rim(colour: list[int]) -> tuple[int, int, int]:
    dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 128
    return (255, 255, 255) if dark else (0, 0, 0)


def inner_points(layer: UInt8[np.ndarray, "h w"], margin: int) -> list[tuple[int, int]]:
    """Points (y, x) inside a thing, away from its border where it is thick enough."""
    for distance in range(margin, -1, -1):
        found = np.flatnonzero(shrink(layer, distance) >= 128)
        if len(found):
            step = max(1, len(found) // 64)  # a few dozen are enough to pick from
            return [divmod(place, layer.shape[1]) for place in found[::step].tolist()]
    return [(layer.shape[0] // 2, layer.shape[1] // 2)]
