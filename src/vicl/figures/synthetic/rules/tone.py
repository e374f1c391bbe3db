"""Light and dark: brightness, contrast, gamma, saturation, a cast of colour."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator
from PIL import Image, ImageEnhance

from vicl.figures.synthetic.rules.drawing import between
from vicl.figures.synthetic.rules.rule import COLOURED, Filter, Pair, Size, Values, filters, pairs
from vicl.figures.synthetic.scenes.chance import often
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import Scene


def by_table(image: UInt8[np.ndarray, "h w 3"], table: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    """A picture whose levels are looked up: in one table (256) or in one a channel (3, 256)."""
    levels = np.clip(np.round(table), 0, 255).astype(np.uint8)
    tables = np.broadcast_to(levels, (3, 256)).ravel().tolist()
    return np.asarray(Image.fromarray(image).point(tables))


def _either(rng: Generator, low: tuple[float, float], high: tuple[float, float]) -> float:
    """A number out of one of two ranges: nothing that cannot be seen."""
    return between(rng, *(low if often(rng, 0.5) else high))


@filters(draw=lambda rng: {"factor": _either(rng, (0.35, 0.6), (1.5, 2.2))})
def brightness(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """The picture is brighter, or darker."""
    return by_table(image, np.arange(256) * values["factor"])


@filters(draw=lambda rng: {"factor": _either(rng, (0.25, 0.5), (1.8, 3.0))})
def contrast(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """The picture has more contrast, or less."""
    return by_table(image, 128 + (np.arange(256) - 128.0) * values["factor"])


@filters(draw=lambda rng: {"gamma": _either(rng, (0.35, 0.6), (1.8, 2.8))})
def gamma(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """Middle tones are brighter, or darker; black and white stay."""
    return by_table(image, 255 * (np.arange(256) / 255) ** values["gamma"])


@filters(draw=lambda rng: {"factor": _either(rng, (0.2, 0.5), (1.8, 3.0))}, wish=COLOURED)
def saturation(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """Colours are stronger, or weaker."""
    return np.asarray(ImageEnhance.Color(Image.fromarray(image)).enhance(values["factor"]))


def _cast(rng: Generator) -> Values:
    strong = [1.0, between(rng, 0.55, 0.85), between(rng, 0.35, 0.6)]
    return {"factors": [strong[i] for i in rng.permutation(3)]}


@filters(draw=_cast)
def colour_cast(image: UInt8[np.ndarray, "h w 3"], values: Values) -> UInt8[np.ndarray, "h w 3"]:
    """The picture is seen in coloured light."""
    return by_table(image, np.arange(256) * np.asarray(values["factors"])[:, None])


@pairs(draw=_cast, plain=False)
def white_balance(scene: Scene, size: Size, values: Values) -> Pair:
    """A picture in coloured light is set right."""
    return _undone(scene, size, values, colour_cast)


@pairs(draw=lambda rng: {"factor": between(rng, 0.18, 0.4)}, plain=False)
def expose(scene: Scene, size: Size, values: Values) -> Pair:
    """A picture that is too dark is set right."""
    return _undone(scene, size, values, brightness)


def _undone(scene: Scene, size: Size, values: Values, filter: Filter) -> Pair:
    """The filtered picture is the input."""
    image = render(scene, size).image
    return Pair(filter(image, values), image)
