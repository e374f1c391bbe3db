"""Where things are: masks and boxes."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from vicl.figures.synthetic.rules.drawing import (
    BLACK,
    WHITE,
    between,
    bounds,
    draw_ink,
    draw_ink_pair,
    draw_vivid,
    paint,
    pixels,
    union,
)
from vicl.figures.synthetic.rules.rule import SOME, Draw, Pair, Size, Values, pairs
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import Rendered, Scene, Wish


def _mask(scene: Scene, size: Size, values: Values) -> Pair:
    shown = render(scene, size)
    return Pair(shown.image, paint(union(shown.visible), values["on"], values["off"]))


_MASKS: tuple[tuple[str, Draw, float, str], ...] = (
    ("mask", lambda rng: {"on": WHITE, "off": BLACK}, 4.0,
     "The things are white, everything else is black"),
    ("mask-inverse", lambda rng: {"on": BLACK, "off": WHITE}, 1.0,
     "The things are black, everything else is white"),
    ("mask-colours", draw_ink_pair, 2.0, "The things have one colour, everything else another"),
)  # fmt: skip
for _name, _draw, _weight, _what in _MASKS:
    pairs(draw=_draw, wish=SOME, measure="iou", weight=_weight, name=_name, what=_what)(_mask)


@pairs(draw=draw_ink, wish=Wish(things=(1, 3)), measure="iou", weight=2.0)
def filled_box(scene: Scene, size: Size, values: Values) -> Pair:
    """The box around each thing is filled."""
    shown = render(scene, size)
    filled = np.zeros(size, np.uint8)
    for top, left, bottom, right in _boxes(shown):
        filled[top:bottom, left:right] = 255
    return Pair(shown.image, paint(filled, values["on"], values["off"]))


@pairs(
    draw=lambda rng: {"colour": draw_vivid(rng), "width": between(rng, 0.02, 0.045)},
    wish=Wish(things=(1, 3)),
)
def drawn_box(scene: Scene, size: Size, values: Values) -> Pair:
    """A frame is drawn around each thing."""
    shown = render(scene, size)
    canvas = Image.fromarray(shown.image)
    pen = ImageDraw.Draw(canvas)
    width = pixels(size, values["width"])
    for top, left, bottom, right in _boxes(shown):
        pen.rectangle((left, top, right - 1, bottom - 1), None, tuple(values["colour"]), width)
    return Pair(shown.image, np.asarray(canvas))


def _boxes(shown: Rendered) -> list[tuple[int, int, int, int]]:
    """The boxes around what is seen of each thing."""
    return [box for layer in shown.visible if (box := bounds(layer >= 128)) is not None]
