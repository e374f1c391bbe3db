"""What several rules draw with: colours, coverage maps and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, TypeVar

import numpy as np
from jaxtyping import Bool, UInt8
from numpy.random import Generator
from PIL import Image

from vicl.figures.synthetic.scenes.backgrounds import levels
from vicl.figures.synthetic.scenes.chance import often
from vicl.figures.synthetic.scenes.scene import COLOURS, Rendered, Scene, Thing

_T = TypeVar("_T")

Levels = list[int]
"""A colour as rules' values hold it: three numbers of 0 to 255."""

BLACK: Final[Levels] = [0, 0, 0]
WHITE: Final[Levels] = [255, 255, 255]

_FAR = 180
"""Two colours that are to be told apart differ by this at least, summed over the channels."""

SEEN = 0.004
"""A thing of which less is to be seen than this share of the cell counts as hidden."""


def pick(rng: Generator, options: Sequence[_T]) -> _T:
    """One of several, each as likely."""
    return options[int(rng.integers(len(options)))]


def between(rng: Generator, low: float, high: float) -> float:
    """A number of three digits after the point, each as likely."""
    return round(float(rng.uniform(low, high)), 3)


def draw_levels(rng: Generator) -> Levels:
    """A colour: one of those with names, or any."""
    if often(rng, 0.5):
        return list(levels(COLOURS[pick(rng, tuple(COLOURS))]))
    return [int(v) for v in rng.integers(0, 256, 3)]


_VIVID = ("red", "orange", "yellow", "green", "cyan", "pink", "white")


def draw_vivid(rng: Generator) -> Levels:
    """A colour for lines over pictures, which are darker and paler than these mostly."""
    return list(levels(COLOURS[pick(rng, _VIVID)]))


def draw_colour_pair(rng: Generator, far: int = _FAR) -> tuple[Levels, Levels]:
    """Two colours that can be told apart: channels differ by `far` levels in sum, or more."""
    first = draw_levels(rng)
    while True:
        second = draw_levels(rng)
        if sum(abs(a - b) for a, b in zip(first, second, strict=True)) >= far:
            return first, second


def draw_ink_pair(rng: Generator) -> dict[str, Any]:
    """Any two colours of a mask, "on" and "off", but not green or blue on white.

    Else the mask of a green circle, or its box, would be an answer of the paper's synthetic study,
    which is held out.
    """
    while True:
        on, off = draw_colour_pair(rng)
        if not (min(off) >= 190 and max(on[1], on[2]) >= 120 and on[0] <= 110):
            return {"on": on, "off": off}


def draw_ink(rng: Generator) -> dict[str, Any]:
    """The two colours of a mask or of lines: white on black mostly, or the inverse, or any."""
    kind = rng.random()
    if kind < 0.55:
        return {"on": WHITE, "off": BLACK}
    if kind < 0.7:
        return {"on": BLACK, "off": WHITE}
    return draw_ink_pair(rng)


def row_rng(scene: Scene, purpose: int) -> Generator:
    """Random numbers of one row, which differ between the rows of a figure.

    Args:
        scene: Whose seed is taken.
        purpose: Tells what is drawn for one thing from what is drawn for another.
    """
    return np.random.default_rng([scene.seed, purpose])


def paint(
    coverage: UInt8[np.ndarray, "h w"], on: Sequence[int], off: Sequence[int]
) -> UInt8[np.ndarray, "h w 3"]:
    """One colour over another, mixed where the coverage is partial."""
    painted: np.ndarray = _mixtures(tuple(on), tuple(off)).take(coverage, axis=0)
    return painted


@lru_cache(maxsize=16)
def _mixtures(on: tuple[int, ...], off: tuple[int, ...]) -> UInt8[np.ndarray, "256 3"]:
    """A colour over another by coverage."""
    share = np.arange(256, dtype=np.float32)[:, None] / 255
    table = np.asarray(off, np.float32) * (1 - share) + np.asarray(on, np.float32) * share
    return (table + 0.5).astype(np.uint8)


def over(
    image: UInt8[np.ndarray, "h w 3"], coverage: UInt8[np.ndarray, "h w"], colour: Sequence[int]
) -> UInt8[np.ndarray, "h w 3"]:
    """A colour over a picture."""
    canvas = Image.fromarray(image)
    canvas.paste((colour[0], colour[1], colour[2]), mask=Image.fromarray(coverage))
    return np.asarray(canvas)


def union(layers: UInt8[np.ndarray, "n h w"]) -> UInt8[np.ndarray, "h w"]:
    """What any of several things covers, where none covers another's visible part."""
    total = layers.sum(axis=0, dtype=np.uint16)
    covered: np.ndarray = np.minimum(total, 255).astype(np.uint8)
    return covered


def grow(coverage: UInt8[np.ndarray, "*n h w"], radius: int) -> UInt8[np.ndarray, "*n h w"]:
    """Greatest value within a distance, in pixels; nearly round."""
    *layers, height, width = coverage.shape
    padded = np.zeros((*layers, height + 2, width + 2), np.uint8)
    for step in range(radius):
        padded[..., 1:-1, 1:-1] = coverage
        rows = np.maximum(padded[..., :-2, :], padded[..., 2:, :])
        if step % 2:  # crosses and squares in turn make an octagon
            np.maximum(rows, padded[..., 1:-1, :], out=rows)
            coverage = np.maximum(rows[..., :-2], rows[..., 2:])
            np.maximum(coverage, rows[..., 1:-1], out=coverage)
        else:
            coverage = np.maximum(coverage, rows[..., 1:-1])
            np.maximum(coverage, padded[..., 1:-1, :-2], out=coverage)
            np.maximum(coverage, padded[..., 1:-1, 2:], out=coverage)
    return coverage


def shrink(coverage: UInt8[np.ndarray, "*n h w"], radius: int) -> UInt8[np.ndarray, "*n h w"]:
    """Least value within a distance, in pixels; what lies beyond the edge counts as covered."""
    inverse: np.ndarray = 255 - grow(255 - coverage, radius)
    return inverse


def rims(layers: UInt8[np.ndarray, "n h w"], width: int) -> UInt8[np.ndarray, "h w"]:
    """Lines along the inner side of each thing's border.

    Args:
        layers: What is seen of each thing.
        width: Of the lines, in pixels.
    """
    return union(layers - shrink(layers, width))


def bounds(shown: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int] | None:
    """(top, left, bottom, right), half-open, of what is True; None if nothing is."""
    rows = np.flatnonzero(shown.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(shown.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def seen(rendered: Rendered, share: float = SEEN) -> list[int]:
    """Numbers of the things of which at least a share of the cell is to be seen."""
    least = share * 255 * rendered.image.shape[0] * rendered.image.shape[1]
    sums = rendered.visible.sum(axis=(1, 2), dtype=np.int64)
    return [number for number, total in enumerate(sums) if total >= least]


def pixels(size: Sequence[int], share: float) -> int:
    """A share of the cell's shorter side in whole pixels, at least one."""
    return max(1, round(share * min(size[:2])))


def coloured(thing: Thing, name: str) -> Thing:
    """A thing in one of the named colours; a picture is tinted."""
    surface = replace(thing.surface, colour=COLOURS[name])
    return thing.but(
        surface=surface, colour_name=name, tint=thing.tint or thing.picture is not None
    )
