"""Depth and light: how near things are, how they are turned, how they are lit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from vicl.figures.synthetic.rules.colour import ramp
from vicl.figures.synthetic.rules.drawing import between, draw_colour_pair, pick
from vicl.figures.synthetic.rules.rule import Pair, Size, Values, pairs, render_both
from vicl.figures.synthetic.scenes.chance import often
from vicl.figures.synthetic.scenes.rendering import geometry, render
from vicl.figures.synthetic.scenes.scene import Light, Rgb, Scene, Wish

_RAISED = ("dome", "cone", "bevel")
_LIT = Light(shading=0.8, shadow=0.35)
_SOLID = Wish(things=(1, 4), movable=True)
_DISTANT = Wish(things=(2, 5), movable=True)


def raised(scene: Scene, relief: str, light: Light) -> Scene:
    """The scene with things of one relief, under a light, on a ground that shows shadows."""
    things = tuple(thing.but(relief=relief) for thing in scene.things)
    surface = scene.background.surface
    ground = replace(surface, colour=_pale(surface.colour), second=_pale(surface.second))
    behind = replace(scene.background, surface=ground)
    return replace(scene, things=things, background=behind, light=light)


def _pale(colour: Rgb) -> Rgb:
    red, green, blue = (0.45 + 0.55 * share for share in colour)
    return red, green, blue


def _angle(rng: Generator) -> float:
    """One of eight directions, in radians."""
    return round(float(rng.integers(8)) * math.pi / 4, 3)


def _ramp(rng: Generator) -> Values:
    if often(rng, 0.7):
        stops = [[0, 0, 0], [255, 255, 255]]
    else:
        stops = [list(colour) for colour in draw_colour_pair(rng, 360)]
    if often(rng, 0.3):
        stops.reverse()
    return {"stops": stops, "relief": pick(rng, _RAISED)}


@pairs(draw=_ramp, wish=_DISTANT, weight=1.5, plain=False)
def depth(scene: Scene, size: Size, values: Values) -> Pair:
    """How near each thing is, as brightness: what is larger is nearer, and stands in front."""
    ordered = replace(scene, things=tuple(sorted(scene.things, key=lambda thing: thing.size)))
    solid = raised(ordered, values["relief"], _LIT)
    near = geometry(solid, size).depth * max(len(solid.things), 1)
    number = np.ceil(near).astype(np.int64)  # 0 is the background, 1 the first thing
    base = [0.0, *(0.15 + 4.2 * (min(thing.size, 0.25) - 0.05) for thing in solid.things)]
    rise = np.where(number > 0, near - number + 1, 0)
    levels = np.clip(255 * (np.take(base, number) + 0.3 * (rise - 0.67)), 0, 255)
    levels[number == 0] = 0
    table = ramp(values["stops"])
    return Pair(render(solid, size).image, table.take(levels.astype(np.uint8), axis=0))


@pairs(draw=lambda rng: {"relief": pick(rng, _RAISED)}, wish=_SOLID, weight=1.5, plain=False)
def normals(scene: Scene, size: Size, values: Values) -> Pair:
    """Which way each surface faces, as colour."""
    solid = raised(scene, values["relief"], _LIT)
    unit = geometry(solid, size).normals
    return Pair(render(solid, size).image, ((unit + 1) * 127.5).astype(np.uint8))


def _lit(rng: Generator) -> Values:
    return {"relief": pick(rng, _RAISED), "angle": _angle(rng)}


@pairs(draw=_lit, wish=_SOLID, weight=1.5, plain=False)
def light(scene: Scene, size: Size, values: Values) -> Pair:
    """Flat things become solid, lit from one side."""
    flat = raised(scene, "flat", Light())
    lit = raised(scene, values["relief"], Light(values["angle"], 0.9, 0.4))
    return render_both(flat, lit, size)


@pairs(draw=_lit, wish=_SOLID, plain=False)
def unlight(scene: Scene, size: Size, values: Values) -> Pair:
    """Solid things become flat: light and shadow are taken off."""
    pair = light(scene, size, values)
    return Pair(pair.output, pair.input)


@pairs(
    draw=lambda rng: {"angle": _angle(rng), "shadow": between(rng, 0.45, 0.8)},
    wish=Wish(things=(1, 4), movable=True, apart=True),
    plain=False,
)
def shadow(scene: Scene, size: Size, values: Values) -> Pair:
    """Things cast a shadow to one side."""
    flat = raised(scene, "flat", Light())
    cast = raised(scene, "flat", Light(values["angle"], 0.0, values["shadow"]))
    return render_both(flat, cast, size)


def _turned(rng: Generator) -> Values:
    first = _angle(rng)
    return {"relief": pick(rng, _RAISED), "from": first, "to": round(first + math.pi, 3)}


@pairs(draw=_turned, wish=_SOLID, plain=False)
def relight(scene: Scene, size: Size, values: Values) -> Pair:
    """The light comes from the other side."""
    before, after = (
        raised(scene, values["relief"], Light(values[key], 0.9, 0.4)) for key in ("from", "to")
    )
    return render_both(before, after, size)
