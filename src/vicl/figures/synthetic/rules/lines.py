"""Lines: around things, along edges, and drawings that are filled."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator
from PIL import Image, ImageFilter
from scipy import ndimage
from skimage import feature

from vicl.figures.synthetic.rules.drawing import (
    BLACK,
    WHITE,
    between,
    draw_ink,
    draw_levels,
    draw_vivid,
    grow,
    over,
    paint,
    pick,
    pixels,
    rims,
    union,
)
from vicl.figures.synthetic.rules.rule import SOME, Draw, Pair, Size, Values, pairs
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import Scene

_WEAK = 150.0
"""A gradient (of Sobel's operator, on levels of 0 to 255) that is no strong edge anywhere."""


@pairs(
    draw=lambda rng: {**draw_ink(rng), "width": between(rng, 0.012, 0.05)},
    wish=SOME,
    measure="f",
    weight=2.0,
)
def outline(scene: Scene, size: Size, values: Values) -> Pair:
    """Lines along the borders of the things."""
    shown = render(scene, size)
    lines = rims(shown.visible, pixels(size, values["width"]))
    return Pair(shown.image, paint(lines, values["on"], values["off"]))


@pairs(draw=lambda rng: {"colour": draw_vivid(rng), "width": between(rng, 0.02, 0.05)}, wish=SOME)
def drawn_outline(scene: Scene, size: Size, values: Values) -> Pair:
    """The borders of the things are drawn into the picture."""
    shown = render(scene, size)
    lines = rims(shown.visible, pixels(size, values["width"]))
    return Pair(shown.image, over(shown.image, lines, values["colour"]))


def _drawing(rng: Generator) -> Values:
    line, paper = (BLACK, WHITE) if rng.random() < 0.7 else (WHITE, BLACK)
    fill = draw_levels(rng)
    while sum(abs(a - b) for a, b in zip(fill, paper, strict=True)) < 150:
        fill = draw_levels(rng)
    return {"line": line, "paper": paper, "fill": fill, "width": between(rng, 0.012, 0.03)}


@pairs(draw=_drawing, wish=SOME, weight=1.5, plain=False)
def fill_drawing(scene: Scene, size: Size, values: Values) -> Pair:
    """A line drawing whose closed parts are filled with one colour."""
    shown = render(scene, size)
    lines = rims(shown.visible, pixels(size, values["width"]))
    drawing = paint(lines, values["line"], values["paper"])
    filled = paint(union(shown.visible), values["fill"], values["paper"])
    return Pair(drawing, over(filled, lines, values["line"]))


def _edges(detector: str) -> Draw:
    def draw(rng: Generator) -> Values:
        return {
            **draw_ink(rng),
            "detector": detector,
            "blur": between(rng, 0.008, 0.02),
            "width": pick(rng, (0, 0, 1)),
        }

    return draw


def _with_edges(scene: Scene, size: Size, values: Values) -> Pair:
    image = render(scene, size).image
    return Pair(image, edge_map(image, values))


for _name, _detector, _weight, _what in (
    ("soft", "gradient", 2.0, "Edges, the brighter the stronger they are"),
    ("thin", "canny", 1.5, "Edges as thin lines"),
    ("thick", "threshold", 1.0, "Edges as thick lines"),
    ("sketch", "difference", 1.0, "The dark side of each edge, as a pencil would draw it"),
):
    pairs(
        draw=_edges(_detector), measure="f", weight=_weight,
        name=f"edges-{_name}", what=_what,
    )(_with_edges)  # fmt: skip


def edge_map(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """Edges of a picture, by the detector and in the colours that the values name.

    Detectors: "gradient", the strength of the gradient against its 98th percentile; "threshold",
    where that is over 0.35; "canny", scikit-image's; "difference", a difference of two blurs,
    its dark side.
    """
    gray = Image.fromarray(image).convert("L")
    sigma = max(0.5, values["blur"] * min(image.shape[:2]))
    if values["detector"] == "canny":
        light = np.asarray(gray, np.float32) / 255
        found = feature.canny(  # type: ignore[no-untyped-call]
            light, sigma, low_threshold=0.06, high_threshold=0.14
        )
        lines = found.astype(np.uint8) * 255
    elif values["detector"] == "difference":
        near, far = (
            np.asarray(gray.filter(ImageFilter.GaussianBlur(s)), np.int16)
            for s in (0.6 * sigma, sigma)
        )
        lines = np.clip((far - near - 2) * 16, 0, 255).astype(np.uint8)
    else:
        smooth = np.asarray(gray.filter(ImageFilter.GaussianBlur(sigma)), np.float32)
        strength = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1))
        strength /= max(float(np.quantile(strength, 0.98)), _WEAK)
        if values["detector"] == "threshold":
            strength = (strength - 0.35) * 5
        lines = (np.clip(strength, 0, 1) * 255).astype(np.uint8)
    return paint(grow(lines, values["width"]), values["on"], values["off"])
