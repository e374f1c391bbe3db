"""Colours: given to gray pictures, taken away, exchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator
from PIL import Image, ImageDraw

from vicl.figures.synthetic.rules.choosing import chosen, divided, inner_points
from vicl.figures.synthetic.rules.drawing import (
    between,
    coloured,
    draw_colour_pair,
    pick,
    pixels,
    row_rng,
    seen,
    union,
)
from vicl.figures.synthetic.rules.rule import COLOURED, Pair, Size, Values, changes, filters, pairs
from vicl.figures.synthetic.scenes.chance import often
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import COLOURS, Scene, Surface, Thing, Wish

_COLOURFUL = tuple(name for name in COLOURS if name not in ("black", "white", "grey"))
_HINTS = 21


def gray_of(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """A picture without its colours (Rec. 601 luma)."""
    return np.asarray(Image.fromarray(image).convert("L").convert("RGB"))


def _luma(name: str) -> float:
    red, green, blue = COLOURS[name]
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _palette(rng: Generator) -> Values:
    """One to three colours of things, and one of the background, of different lightness."""
    names: list[str] = []
    count = pick(rng, (1, 1, 2, 3))
    for _ in range(200):
        name = pick(rng, _COLOURFUL)
        if all(abs(_luma(name) - _luma(other)) >= 0.12 for other in names):
            names.append(name)
        if len(names) == count + 1:
            break
    return {"things": names[:-1], "background": names[-1]}


@pairs(draw=_palette, wish=Wish(things=(1, 5), movable=True), weight=2.0, plain=False)
def colourise(scene: Scene, size: Size, values: Values) -> Pair:
    """A gray picture gets its colours back, which its gray levels tell."""
    names = values["things"]
    things = tuple(
        _toned(coloured(thing, names[index % len(names)]))
        for index, thing in enumerate(scene.things)
    )
    behind = replace(scene.background, surface=_washed(scene.background.surface, values))
    kind = "clouds" if behind.kind == "picture" else behind.kind
    behind = replace(behind, kind=kind, picture=None)
    image = render(replace(scene, things=things, background=behind), size).image
    return Pair(gray_of(image), image)


def _toned(thing: Thing) -> Thing:
    """The second colour becomes a dark shade of the first."""
    red, green, blue = (0.6 * share for share in thing.surface.colour)
    return thing.but(surface=replace(thing.surface, second=(red, green, blue)))


def _washed(surface: Surface, values: Values) -> Surface:
    """Two shades of the background's colour."""
    colour = COLOURS[values["background"]]
    paler = (0.7 * colour[0] + 0.3, 0.7 * colour[1] + 0.3, 0.7 * colour[2] + 0.3)
    return replace(surface, colour=colour, second=paler)


@pairs(wish=COLOURED, weight=1.5, plain=False)
def colourise_naturally(scene: Scene, size: Size, values: Values) -> Pair:
    """A gray picture gets its own colours back, as far as they can be known."""
    image = render(scene, size).image
    return Pair(gray_of(image), image)


@pairs(
    draw=lambda rng: {"radius": between(rng, 0.03, 0.05)},
    wish=Wish(things=(1, 5), coloured=True),
    weight=1.5,
    plain=False,
)
def colour_hints(scene: Scene, size: Size, values: Values) -> Pair:
    """A gray picture with dots of colour gets its colours back."""
    shown = render(scene, size)
    rng = row_rng(scene, _HINTS)
    bare = 255 - union(shown.visible)
    layers = [shown.visible[number] for number in seen(shown)]
    canvas = Image.fromarray(gray_of(shown.image))
    pen = ImageDraw.Draw(canvas)
    radius = pixels(size, values["radius"])
    for layer in (*layers, bare, bare):
        y, x = pick(rng, inner_points(layer, radius))
        around = shown.image[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].reshape(-1, 3)
        colour = tuple(int(v) for v in np.median(around, axis=0))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour)
    return Pair(np.asarray(canvas), shown.image)


@filters(wish=COLOURED)
def grayscale(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """The picture loses its colours."""
    return gray_of(image)


@changes(
    draw=lambda rng: {"colour": pick(rng, tuple(COLOURS))},
    wish=Wish(things=(1, 4), movable=True),
    weight=2.0,
)
def recolour(scene: Scene, values: Values) -> Scene:
    """All things take one colour."""
    return replace(scene, things=tuple(coloured(t, values["colour"]) for t in scene.things))


def _exchange(rng: Generator) -> Values:
    before, after = rng.choice(len(COLOURS), 2, replace=False)
    names = tuple(COLOURS)
    return {"attribute": "colour", "value": names[before], "colour": names[after]}


@changes(draw=_exchange, wish=divided)
def recolour_some(scene: Scene, values: Values) -> Scene:
    """The things of one colour take another; the others stay."""
    things = tuple(
        coloured(thing, values["colour"]) if match else thing
        for thing, match in zip(scene.things, chosen(scene, values), strict=True)
    )
    return replace(scene, things=things)


@changes(
    draw=lambda rng: {"colour": pick(rng, tuple(COLOURS))}, wish=Wish(things=(1, 4), movable=True)
)
def recolour_background(scene: Scene, values: Values) -> Scene:
    """The things stand before one plain colour."""
    surface = Surface(COLOURS[values["colour"]])
    return replace(scene, background=replace(scene.background, kind="plain", surface=surface))


@filters(weight=1.5)
def negative(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """Every colour becomes its opposite."""
    opposite: np.ndarray = 255 - image
    return opposite


_TURNS = (60, 170, 190, 210, 300)
"""Degrees by which hues turn: those that would make green things blue are left out."""


@filters(draw=lambda rng: {"degrees": pick(rng, _TURNS)}, wish=COLOURED)
def hue(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """All hues turn by one angle."""
    parts = Image.fromarray(image).convert("HSV").split()
    turn = round(values["degrees"] * 256 / 360)
    turned = parts[0].point([(level + turn) % 256 for level in range(256)])
    return np.asarray(Image.merge("HSV", (turned, *parts[1:])).convert("RGB"))


_SWAPS = ((1, 0, 2), (2, 1, 0))
"""Orders of channels; green stays where it is, or becomes red, but never blue."""


@filters(draw=lambda rng: {"order": list(pick(rng, _SWAPS))}, wish=COLOURED)
def swap_channels(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """Two of red, green and blue change places."""
    return np.ascontiguousarray(image[..., values["order"]])


def _levels(rng: Generator) -> Values:
    gray = often(rng, 0.25)
    return {"levels": int(rng.integers(3 if gray else 2, 5)), "gray": gray}


@filters(draw=_levels)
def quantise(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """Only a few levels of each colour are left."""
    steps = values["levels"] - 1
    table = [round(round(level * steps / 255) * 255 / steps) for level in range(256)]
    source = Image.fromarray(gray_of(image) if values["gray"] else image)
    return np.asarray(source.point(table * 3))


def _duotone(rng: Generator) -> Values:
    dark, light = draw_colour_pair(rng, 360)
    return {"dark": dark, "light": light}


@filters(draw=_duotone)
def duotone(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """Gray levels become shades between two colours."""
    table = ramp([values["dark"], values["light"]])
    gray = Image.fromarray(image).convert("L")
    return table.take(np.asarray(gray), axis=0)


def ramp(stops: list[list[int]]) -> UInt8[np.ndarray, "256 3"]:
    """A table of 256 colours that goes through some, dark to light levels, at equal steps."""
    at = np.linspace(0, 255, len(stops))
    channels = [np.interp(np.arange(256), at, [s[c] for s in stops]) for c in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)
