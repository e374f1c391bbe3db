"""Scenes as arrays: what the device needs to draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from vicl.figures.scenes.patterns import clouds
from vicl.figures.scenes.scene import SHAPES, TEXTURES, Background, Camera, Scene, Thing

BATCHED_BACKGROUNDS = (
    "plain", "gradient", "noise", "stripes", "checks", "dots", "paper", "clouds",
)  # fmt: skip
"""Kinds of backgrounds that are drawn in batches."""

_CLOUD_SIDE = 32
_NO_CAMERA = Camera()

NUMBERS = (
    "y", "x", "size", "aspect", "cos", "sin", "hand", "opacity", "scale", "turn", "extent", "seed",
)  # fmt: skip
"""What `Packed.numbers` holds of a thing; `turn` is the angle of its texture."""


@dataclass(frozen=True, eq=False)
class Packed:
    """Some scenes as arrays; those with fewer things are filled up with invisible ones.

    Attributes:
        shapes: Numbers in `SHAPES`.
        textures: Numbers in `TEXTURES`.
        numbers: See `NUMBERS`; sizes are shares of the cell.
        colours: First and second colour.
        grounds: Numbers in `BATCHED_BACKGROUNDS`.
        ground_numbers: Scale, angle and seed of backgrounds.
        ground_colours: First and second colour.
        fields: The clouds, in [0, 1], of the scenes that have them, in order.
    """

    shapes: Int64[np.ndarray, "s n"]
    textures: Int64[np.ndarray, "s n"]
    numbers: Float32[np.ndarray, "s n 12"]
    colours: Float32[np.ndarray, "s n 2 3"]
    grounds: Int64[np.ndarray, " s"]
    ground_numbers: Float32[np.ndarray, "s 3"]
    ground_colours: Float32[np.ndarray, "s 2 3"]
    fields: Float32[np.ndarray, "f side side"]


def can_batch(scene: Scene) -> bool:
    """Whether a scene can be drawn in a batch."""
    light, camera = scene.light, scene.camera
    lit = light.shadow > 0 or (light.shading > 0 and any(t.relief != "flat" for t in scene.things))
    seen = camera != _NO_CAMERA
    drawn = all(thing.shape in SHAPES and not thing.outline for thing in scene.things)
    return drawn and not lit and not seen and scene.background.kind in BATCHED_BACKGROUNDS


def pack(scenes: Sequence[Scene]) -> Packed:
    """Turn scenes into arrays.

    Args:
        scenes: All such that :func:`can_batch`.

    Raises:
        ValueError: If one of them cannot be drawn in a batch.
    """
    wrong = next((scene for scene in scenes if not can_batch(scene)), None)
    if wrong is not None:
        raise ValueError(
            f"scene of family {wrong.family!r}: cannot be drawn in a batch (light, camera, "
            f"outlines, pictures or background {wrong.background.kind!r}); use render"
        )
    count = max([len(scene.things) for scene in scenes], default=0)
    shapes = np.zeros((len(scenes), count), np.int64)
    textures = np.zeros((len(scenes), count), np.int64)
    numbers = np.zeros((len(scenes), count, len(NUMBERS)), np.float32)
    numbers[:, :, 2:4] = 1  # the size of what is not there must not be zero
    colours = np.zeros((len(scenes), count, 2, 3), np.float32)
    for s, scene in enumerate(scenes):
        for n, thing in enumerate(scene.things):
            shapes[s, n] = SHAPES.index(thing.shape)
            textures[s, n] = TEXTURES.index(thing.surface.texture)
            numbers[s, n] = _numbers(thing)
            colours[s, n] = thing.surface.colour, thing.surface.second
    grounds = [scene.background for scene in scenes]
    surfaces = [ground.surface for ground in grounds]
    return Packed(
        shapes,
        textures,
        numbers,
        colours,
        np.array([BATCHED_BACKGROUNDS.index(ground.kind) for ground in grounds], np.int64),
        np.array([(s.scale, s.angle, s.seed % 65521) for s in surfaces], np.float32).reshape(-1, 3),
        np.array([(s.colour, s.second) for s in surfaces], np.float32).reshape(-1, 2, 3),
        _fields(grounds),
    )


def _numbers(thing: Thing) -> tuple[float, ...]:
    surface = thing.surface
    return (
        *thing.centre,
        thing.size,
        thing.aspect,
        math.cos(thing.angle),
        math.sin(thing.angle),
        -1.0 if thing.mirrored else 1.0,
        thing.opacity,
        surface.scale,
        surface.angle,
        thing.size * max(1.0, thing.aspect),
        float(surface.seed % 65521),
    )


def _fields(grounds: Sequence[Background]) -> Float32[np.ndarray, "f side side"]:
    """The clouds of backgrounds, coarse."""
    side = (_CLOUD_SIDE, _CLOUD_SIDE)
    drawn = [
        clouds(side, ground.surface.scale, ground.surface.seed)
        for ground in grounds
        if ground.kind == "clouds"
    ]
    if not drawn:
        return np.zeros((0, *side), np.float32)
    return np.stack(drawn).astype(np.float32) / np.float32(255)
