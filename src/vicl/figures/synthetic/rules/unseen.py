"""Rules that training never shows: they stand here to ask what a model makes of new ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage import morphology

from vicl.figures.synthetic.rules.colour import gray_of
from vicl.figures.synthetic.rules.drawing import (
    BLACK,
    WHITE,
    coloured,
    draw_ink,
    grow,
    paint,
    pick,
    pixels,
    row_rng,
    union,
)
from vicl.figures.synthetic.rules.rule import Pair, Size, Values, filters, pairs
from vicl.figures.synthetic.rules.tone import by_table
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import Scene, Wish

_ODD = 41
_UNLIKE = (("red", "blue"), ("green", "purple"), ("yellow", "blue"), ("cyan", "red"))
_FEW = Wish(things=(1, 3))


@filters()
def solarise(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """Bright levels become their opposite, dark ones stay."""
    levels = np.arange(256)
    return by_table(image, 2 * np.minimum(levels, 255 - levels))


@filters()
def swap_halves(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """The left and the right half change places."""
    return np.roll(image, image.shape[1] // 2, axis=1)


@filters(draw=lambda rng: {"cells": int(rng.integers(7, 14))})
def pixelate(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """The picture becomes a coarse mosaic."""
    source = Image.fromarray(image)
    small = source.resize((values["cells"], values["cells"]), Image.Resampling.BOX)
    return np.asarray(small.resize(source.size, Image.Resampling.NEAREST))


@pairs(
    draw=draw_ink, wish=Wish(things=(3, 6), movable=True, apart=True), measure="iou", plain=False
)
def odd_one_out(scene: Scene, size: Size, values: Values) -> Pair:
    """A mask of the thing whose colour no other has."""
    rng = row_rng(scene, _ODD)
    common, odd = (int(n) for n in rng.permutation(2))
    names = pick(rng, _UNLIKE)
    number = int(rng.integers(len(scene.things)))
    things = tuple(
        coloured(thing, names[odd] if index == number else names[common])
        for index, thing in enumerate(scene.things)
    )
    shown = render(replace(scene, things=things), size)
    return Pair(shown.image, paint(shown.visible[number], values["on"], values["off"]))


@pairs(draw=draw_ink, wish=_FEW, measure="iou")
def hull(scene: Scene, size: Size, values: Values) -> Pair:
    """A mask of the smallest bulging shape around all things."""
    shown = render(scene, size)
    covered = union(shown.visible) >= 128
    found = covered
    if covered.any():
        found = morphology.convex_hull_image(covered)  # type: ignore[no-untyped-call]
    return Pair(shown.image, paint(found.astype(np.uint8) * 255, values["on"], values["off"]))


@pairs(draw=draw_ink, wish=_FEW, measure="f")
def skeleton(scene: Scene, size: Size, values: Values) -> Pair:
    """The middle lines of the things."""
    shown = render(scene, size)
    covered = union(shown.visible) >= 128
    thin = morphology.skeletonize(covered)  # type: ignore[no-untyped-call]
    lines = grow(thin.astype(np.uint8) * 255, pixels(size, 0.012))
    return Pair(shown.image, paint(lines, values["on"], values["off"]))


def _brightness(rng: Generator) -> Values:
    on, off = (WHITE, BLACK) if rng.random() < 0.7 else (BLACK, WHITE)
    return {"on": on, "off": off}


@pairs(draw=_brightness, wish=Wish(things=(1, 3), shapes=True))
def distance(scene: Scene, size: Size, values: Values) -> Pair:
    """How far inside a thing each point lies, as brightness."""
    shown = render(scene, size)
    deep = ndimage.distance_transform_edt(union(shown.visible) >= 128)
    levels = np.clip(deep * (255 / (0.14 * min(size))), 0, 255).astype(np.uint8)
    return Pair(shown.image, paint(levels, values["on"], values["off"]))


@pairs(draw=draw_ink, wish=Wish(things=(1, 5), apart=True), measure="iou")
def centres(scene: Scene, size: Size, values: Values) -> Pair:
    """A disc at the middle of each thing."""
    shown = render(scene, size)
    canvas = Image.new("L", (size[1], size[0]))
    pen = ImageDraw.Draw(canvas)
    radius = pixels(size, 0.06)
    for layer in shown.visible:
        if not layer.any():
            continue
        y, x = ndimage.center_of_mass(layer)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), 255)
    return Pair(shown.image, paint(np.asarray(canvas), values["on"], values["off"]))


@pairs(wish=_FEW)
def colour_pop(scene: Scene, size: Size, values: Values) -> Pair:
    """The things keep their colours, the rest turns gray."""
    shown = render(scene, size)
    layers = (shown.image, gray_of(shown.image), union(shown.visible))
    return Pair(shown.image, np.asarray(Image.composite(*map(Image.fromarray, layers))))
