"""Damaged pictures made whole: blur, noise, holes, fog, coarse pixels; and the damage itself."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from vicl.figures.synthetic.rules.drawing import between, draw_levels, over, pick, pixels, row_rng
from vicl.figures.synthetic.rules.rule import COLOURED, Pair, Size, Values, filters, pairs
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import Scene

_NOISE, _HOLES = 31, 32


@filters(draw=lambda rng: {"radius": between(rng, 0.02, 0.05)})
def blur(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """The picture is out of focus."""
    sigma = values["radius"] * min(image.shape[:2])
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))


@pairs(draw=lambda rng: {"radius": between(rng, 0.012, 0.035)}, weight=1.5, plain=False)
def deblur(scene: Scene, size: Size, values: Values) -> Pair:
    """A blurred picture becomes sharp."""
    image = render(scene, size).image
    return Pair(blur(image, values), image)


def _noise(rng: Generator) -> Values:
    kind = pick(rng, ("gaussian", "gaussian", "salt", "speckle"))
    amount = {"gaussian": (0.08, 0.25), "salt": (0.05, 0.25), "speckle": (0.2, 0.5)}[kind]
    return {"kind": kind, "amount": between(rng, *amount)}


@pairs(draw=_noise, weight=2.0, plain=False)
def denoise(scene: Scene, size: Size, values: Values) -> Pair:
    """A noisy picture becomes clean."""
    image = render(scene, size).image
    return Pair(noisy(image, values, row_rng(scene, _NOISE)), image)


def noisy(
    image: UInt8[np.ndarray, "h w 3"], values: Values, rng: Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """A picture with noise of the kind and amount that the values name.

    Kinds: "gaussian", added; "speckle", multiplied; "salt", pixels that became black or white.
    """
    if values["kind"] == "salt":
        drawn = rng.random(image.shape[:2], np.float32)
        found: np.ndarray = image.copy()
        found[drawn < values["amount"] / 2] = 0
        found[drawn > 1 - values["amount"] / 2] = 255
        return found
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(values["amount"])
    noise *= 255 if values["kind"] == "gaussian" else image
    noise += image
    grainy: np.ndarray = np.clip(noise, 0, 255).astype(np.uint8)
    return grainy


def _holes(rng: Generator) -> Values:
    return {
        "kind": pick(rng, ("boxes", "strokes", "specks")),
        "colour": pick(rng, ([0, 0, 0], [255, 255, 255], [128, 128, 128], draw_levels(rng))),
    }


@pairs(draw=_holes, weight=2.0, plain=False)
def fill_holes(scene: Scene, size: Size, values: Values) -> Pair:
    """Holes in a picture are filled."""
    image = render(scene, size).image
    holes = _draw_holes(size, values["kind"], row_rng(scene, _HOLES))
    return Pair(over(image, holes, values["colour"]), image)


def _draw_holes(size: Size, kind: str, rng: Generator) -> UInt8[np.ndarray, "h w"]:
    canvas = Image.new("L", (size[1], size[0]))
    pen = ImageDraw.Draw(canvas)
    if kind == "specks":
        coarse = (rng.random((max(2, size[0] // 8), max(2, size[1] // 8))) < 0.25) * 255
        specks = Image.fromarray(coarse.astype(np.uint8))
        return np.asarray(specks.resize(canvas.size, Image.Resampling.NEAREST))
    for _ in range(int(rng.integers(1, 4)) if kind == "boxes" else int(rng.integers(3, 6))):
        y, x = rng.random(2) * size
        if kind == "boxes":
            high, wide = rng.uniform(0.12, 0.28, 2) * size
            pen.rectangle((x - wide / 2, y - high / 2, x + wide / 2, y + high / 2), 255)
        else:
            ends = rng.random((3, 2)) * (size[1], size[0])
            points = [(float(a), float(b)) for a, b in ends]
            pen.line(points, 255, pixels(size, 0.025), joint="curve")
    return np.asarray(canvas)


def _coarse(image: UInt8[np.ndarray, "h w 3"], factor: float, smooth: bool) -> np.ndarray:
    """A picture with fewer pixels, brought back to its size."""
    source = Image.fromarray(image)
    small = (max(2, round(source.width / factor)), max(2, round(source.height / factor)))
    way = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return np.asarray(source.resize(small, Image.Resampling.BOX).resize(source.size, way))


@pairs(
    draw=lambda rng: {"factor": between(rng, 2.5, 6.0), "smooth": bool(rng.integers(2))},
    weight=1.5,
    plain=False,
)
def enlarge(scene: Scene, size: Size, values: Values) -> Pair:
    """A picture of few pixels gets more of them."""
    image = render(scene, size).image
    return Pair(_coarse(image, values["factor"], values["smooth"]), image)


@pairs(
    draw=lambda rng: {"density": between(rng, 0.4, 0.75), "level": pick(rng, (200, 225, 245))},
    plain=False,
)
def clear_fog(scene: Scene, size: Size, values: Values) -> Pair:
    """A picture behind fog becomes clear."""
    image = render(scene, size).image
    share = values["density"]
    fog = np.round(np.arange(256) * (1 - share) + values["level"] * share).astype(int)
    return Pair(np.asarray(Image.fromarray(image).point(fog.tolist() * 3)), image)


@pairs(draw=lambda rng: {"quality": int(rng.integers(8, 20))}, wish=COLOURED, plain=False)
def undo_jpeg(scene: Scene, size: Size, values: Values) -> Pair:
    """A picture that was stored too small loses its blocks."""
    image = render(scene, size).image
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=values["quality"])
    return Pair(np.asarray(Image.open(buffer).convert("RGB")), image)
