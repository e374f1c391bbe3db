"""From scenes to pixels."""

from __future__ import annotations

import math
from functools import lru_cache, partial

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from vicl.canvas.rects import Rect
from vicl.figures.synthetic.scenes.backgrounds import paint_background
from vicl.figures.synthetic.scenes.patterns import window
from vicl.figures.synthetic.scenes.relief import heights, slopes
from vicl.figures.synthetic.scenes.scene import Camera, Geometry, Light, Rendered, Scene
from vicl.figures.synthetic.scenes.stamps import Stamp, stamp

LEAST_SIDE = 8
"""Of a picture, in pixels."""

_NOISE_SIDE = 384
_NOISE_STEP = 0.01
"""Camera noise comes in steps of this standard deviation, so that few tables are kept."""


@lru_cache(maxsize=16)
def render(scene: Scene, size: tuple[int, int]) -> Rendered:
    """Draw a scene.

    The same scene and size give the same pixels on every machine with the same Pillow; two scenes
    that differ in one thing differ where that thing or its shadow is. The last few are kept: a page
    shows one input beside several outputs.

    Args:
        scene: What.
        size: (height, width) in pixels, at least 8 each.

    Raises:
        ValueError: If the size is too small, or the scene holds something unknown.
    """
    if min(size) < LEAST_SIDE:
        raise ValueError(
            f"size: got {size}, expected (height, width) of at least {LEAST_SIDE} pixels each"
        )
    canvas = paint_background(scene.background, size).copy()
    stamps = [stamp(thing, scene.light, size) for thing in scene.things]
    for thing, one in zip(scene.things, stamps, strict=True):
        if one.paint is None:
            continue
        if scene.light.shadow:
            _cast(canvas, one, scene.light, thing.size * min(size))
        box = one.box
        canvas.paste(one.paint, (box.left, box.top, box.right, box.bottom), one.cover)
    canvas = _photograph(canvas, scene.camera, scene.seed)
    return Rendered(np.asarray(canvas), partial(_layers, stamps, size))


def geometry(scene: Scene, size: tuple[int, int]) -> Geometry:
    """Depth and normals of a scene: things stand before each other as they are drawn.

    Args:
        scene: What; regions of photographs count as background.
        size: (height, width) in pixels.
    """
    depth = np.zeros(size, np.float32)
    normals = np.zeros((*size, 3), np.float32)
    normals[..., 2] = 1
    step = 1 / max(len(scene.things), 1)
    for number, thing in enumerate(scene.things):
        one = stamp(thing, scene.light, size)
        inside, part = _inside(one.box, size)
        if one.paint is None:
            continue
        height = heights(thing, one.cover, size, one.box)
        right, down = slopes(height, min(size))
        unit = np.stack([-right, down, np.ones_like(height)], axis=-1)
        unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
        shown = np.asarray(one.cover)[part] >= 128
        # A third of a step is left free, so that things one behind the other stay apart.
        near = step * (number + 0.67 + 0.33 * height / max(float(height.max()), 1e-6))
        depth[inside][shown] = near[part][shown]
        normals[inside][shown] = unit[part][shown]
    return Geometry(depth, normals)


def _cast(canvas: Image.Image, one: Stamp, light: Light, radius: float) -> None:
    """Darken what lies behind a thing, away from the light."""
    far, soft = 0.3 * radius, max(1, round(0.12 * radius))
    x, y = round(-far * math.cos(light.angle)), round(-far * math.sin(light.angle))
    # A border of nothing, as wide as the blur reaches.
    mask = one.cover.crop((-soft, -soft, one.cover.width + soft, one.cover.height + soft))
    mask = mask.filter(ImageFilter.BoxBlur(soft))
    mask = ImageChops.multiply(
        mask, _grey(1 << max(mask.size).bit_length(), round(255 * light.shadow))
    )
    # Pillow pastes a picture faster than a colour.
    dark = Image.new("RGB", mask.size, (8, 8, 16))
    canvas.paste(dark, (one.box.left + x - soft, one.box.top + y - soft), mask)


@lru_cache(maxsize=128)
def _grey(side: int, level: int) -> Image.Image:
    """A square of one level; of two images, :mod:`PIL.ImageChops` takes the part that both have."""
    return Image.new("L", (side, side), level)


def _photograph(canvas: Image.Image, camera: Camera, seed: int) -> Image.Image:
    """Blur, darken the corners and add noise."""
    if camera.blur:
        canvas = canvas.filter(ImageFilter.BoxBlur(camera.blur * min(canvas.size)))
    if camera.vignetting:
        dark = _vignette(canvas.size, round(camera.vignetting, 2))
        canvas = ImageChops.multiply(canvas, dark)
    step = round(camera.noise / _NOISE_STEP)
    if step:
        tile = _noise(step)
        grain = window(tile, (canvas.height, canvas.width * 3), seed)
        noise = Image.fromarray(grain.reshape(canvas.height, canvas.width, 3))
        canvas = ImageChops.add(canvas, noise, 1, -128)
    return canvas


@lru_cache(maxsize=64)
def _vignette(size: tuple[int, int], strength: float) -> Image.Image:
    """How bright each pixel stays, for an image of (width, height): the corners are darkest."""
    x = np.linspace(-1, 1, size[0], dtype=np.float32)
    y = np.linspace(-1, 1, size[1], dtype=np.float32)[:, None]
    light = 255 * (1 - np.float32(strength / 2) * (x * x + y * y))
    return Image.merge("RGB", [Image.fromarray(light.astype(np.uint8))] * 3)


@lru_cache(maxsize=16)
def _noise(step: int) -> np.ndarray:
    """A stored piece of camera noise about 128; one of its rows holds three channels in turn."""
    rng = np.random.default_rng(1)
    drawn = rng.normal(128, 255 * _NOISE_STEP * step, (_NOISE_SIDE, 3 * _NOISE_SIDE))
    return np.clip(drawn, 0, 255).round().astype(np.uint8)


def _inside(box: Rect, size: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of the cell under a stamp's box, and that part of the box; both may be empty."""
    top, bottom = max(box.top, 0), max(0, box.top, min(box.bottom, size[0]))
    left, right = max(box.left, 0), max(0, box.left, min(box.right, size[1]))
    part = (
        slice(top - box.top, bottom - box.top),
        slice(left - box.left, right - box.left),
    )
    return (slice(top, bottom), slice(left, right)), part


def _layers(stamps: list[Stamp], size: tuple[int, int]) -> np.ndarray:
    """What is seen of each thing."""
    visible = np.zeros((len(stamps), *size), np.uint8)
    for front, one in enumerate(stamps):
        area, part = _inside(one.box, size)
        visible[front][area] = np.asarray(one.cover)[part]
        # Only the things behind that reach under it; division by 255, rounded.
        behind = [layer for layer in visible[(slice(0, front), *area)] if layer.any()]
        if behind:
            left = 255 - visible[front][area].astype(np.uint16)
        for layer in behind:
            layer[...] = (layer * left + 127) // 255
    visible.setflags(write=False)
    return visible
