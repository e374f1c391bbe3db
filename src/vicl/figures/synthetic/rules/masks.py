"""Where things are: masks and boxes."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator
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
from vicl.figures.synthetic.rules.rule import Pair, Size, Values, pairs
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import Rendered, Scene, Wish

_SOME = Wish(things=(1, 4))


@pairs(draw=lambda rng: {"on": WHITE, "off": BLACK}, wish=_SOME, measure="iou", weight=4.0)
def mask(scene: Scene, size: Size, values: Values) -> Pair:
    """The things are white, everything else is black."""
    shown = render(scene, size)
    return Pair(shown.image, paint(union(shown.visible), values["on"], values["off"]))


@pairs(draw=lambda rng: {"on": BLACK, "off": WHITE}, wish=_SOME, measure="iou")
def mask_inverse(scene: Scene, size: Size, values: Values) -> Pair:
    """The things are black, everything else is white."""
    return mask(scene, size, values)


def _two(rng: Generator) -> Values:
    on, off = draw_ink_pair(rng)
    return {"on": on, "off": off}


@pairs(draw=_two, wish=_SOME, measure="iou", weight=2.0)
def mask_colours(scene: Scene, size: Size, values: Values) -> Pair:
    """The things have one colour, everything else another."""
    return mask(scene, size, values)


@pairs(draw=draw_ink, wish=Wish(things=(1, 3)), measure="iou", weight=2.0)
def filled_box(scene: Scene, size: Size, values: Values) -> Pair:
    """The box around each thing is filled."""
    shown = render(scene, size)
    return Pair(shown.image, paint(boxes(shown), values["on"], values["off"]))


@pairs(
    draw=lambda rng: {"colour": draw_vivid(rng), "width": between(rng, 0.02, 0.045)},
    wish=Wish(things=(1, 3)),
)
def drawn_box(scene: Scene, size: Size, values: Values) -> Pair:
    """A frame is drawn around each thing."""
    shown = render(scene, size)
    canvas = Image.fromarray(shown.image)
    pen = ImageDraw.Draw(canvas)
    for layer in shown.visible:
        box = bounds(layer >= 128)
        if box is not None:
            top, left, bottom, right = box
            width = pixels(size, values["width"])
            pen.rectangle((left, top, right - 1, bottom - 1), None, tuple(values["colour"]), width)
    return Pair(shown.image, np.asarray(canvas))


def boxes(shown: Rendered) -> UInt8[np.ndarray, "h w"]:
    """The boxes around what is seen of each thing, filled."""
    filled = np.zeros(shown.image.shape[:2], np.uint8)
    for layer in shown.visible:
        box = bounds(layer >= 128)
        if box is not None:
            filled[box[0] : box[2], box[1] : box[3]] = 255
    return filled
