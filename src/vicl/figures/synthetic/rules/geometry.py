"""Form and place: size, shape, mirror images, turns, shifts; and the plain copy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator
from PIL import Image

from vicl.figures.synthetic.rules.drawing import between, pick
from vicl.figures.synthetic.rules.rule import Values, changes, filters
from vicl.figures.synthetic.scenes.chance import often
from vicl.figures.synthetic.scenes.scene import SHAPES, Scene, Wish


def _factor(rng: Generator) -> Values:
    low, high = (0.4, 0.58) if often(rng, 0.5) else (1.35, 1.8)
    return {"factor": between(rng, low, high)}


@changes(draw=_factor, wish=Wish(things=(1, 3), movable=True, apart=True), weight=2.0)
def resize(scene: Scene, values: Values) -> Scene:
    """All things grow or shrink by one factor, where they are."""
    things = (t.but(size=t.size * values["factor"], size_name="") for t in scene.things)
    return replace(scene, things=tuple(things))


@changes(
    draw=lambda rng: {"shape": pick(rng, SHAPES)},
    wish=Wish(things=(1, 3), movable=True, shapes=True),
    weight=2.0,
)
def reshape(scene: Scene, values: Values) -> Scene:
    """All things take one shape, upright."""
    upright = {"shape": values["shape"], "angle": 0.0, "aspect": 1.0, "mirrored": False}
    return replace(scene, things=tuple(thing.but(**upright) for thing in scene.things))


@filters(draw=lambda rng: {"axis": pick(rng, ("x", "x", "y"))})
def mirror(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """Left and right change places, or top and bottom."""
    flipped = image[:, ::-1] if values["axis"] == "x" else image[::-1]
    return np.ascontiguousarray(flipped)


@filters(draw=lambda rng: {"quarters": int(rng.integers(1, 4))})
def rotate(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """The picture is turned by quarters, clockwise."""
    turned = np.ascontiguousarray(np.rot90(image, -values["quarters"]))
    if turned.shape == image.shape:
        return turned
    return np.asarray(Image.fromarray(turned).resize((image.shape[1], image.shape[0])))


@changes(
    draw=lambda rng: {"degrees": pick(rng, (30, 45, 90, 180, 270, 315))},
    wish=Wish(things=(1, 3), movable=True, apart=True),
)
def turn(scene: Scene, values: Values) -> Scene:
    """Each thing is turned about its own centre."""
    by = math.radians(values["degrees"])
    return replace(scene, things=tuple(t.but(angle=t.angle + by) for t in scene.things))


def _step(rng: Generator) -> Values:
    way = float(rng.integers(8)) * math.pi / 4
    far = between(rng, 0.15, 0.3)
    return {"y": round(far * math.sin(way), 3), "x": round(far * math.cos(way), 3)}


@changes(draw=_step, wish=Wish(things=(1, 2), movable=True, apart=True))
def move(scene: Scene, values: Values) -> Scene:
    """All things move by one step."""
    y, x = values["y"], values["x"]
    moved = (t.but(centre=(t.centre[0] + y, t.centre[1] + x)) for t in scene.things)
    return replace(scene, things=tuple(moved))


@filters()
def copy(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """The picture stays as it is."""
    return image.copy()
