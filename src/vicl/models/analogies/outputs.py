"""What kind of answer the examples' outputs ask for: a mask of few colours, lines, or a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from jaxtyping import Float

from vicl.models.analogies.shapes import RGB, Colours, Ends, RGBs

_NEAR: Final = 0.12
"""Colours closer than this (Euclidean, RGB) are one: JPEG and resizing move them so far."""

_EXACT: Final = 0.04
"""Of a palette's pixels most lie as near as this to its colours; those of a gray ramp do not."""

_MOST_COLOURS: Final = 8
_THIN: Final = 0.3


@dataclass(frozen=True, eq=False)
class OutputKind:
    """What the outputs are.

    Attributes:
        name: `mask`: areas of few colours; `lines`: thin marks of one colour on another;
            `picture`: anything else.
        colours: Of the areas, most frequent first; for lines background and mark; none for a
            picture.
    """

    name: Literal["mask", "lines", "picture"]
    colours: Float[np.ndarray, "k 3"]


def kind_of(outputs: RGBs) -> OutputKind:
    """Tell from the examples' outputs, RGB in [0, 1]."""
    pixels = np.concatenate([_thinned_out(output) for output in outputs])
    colours, covered = _palette(pixels)
    if len(colours) == 1 and covered > 0.995:
        return OutputKind("mask", colours)
    ends = _ends(pixels, colours[0])
    along = _along(pixels, ends)
    beside = np.linalg.norm(pixels - (ends[0] + along[:, None] * (ends[1] - ends[0])), axis=1)
    between = float(((along > 0.2) & (along < 0.8)).mean())
    straight = float((beside < _NEAR).mean()) > 0.98
    if straight and float((along < 0.1).mean()) > 0.6 and all(_is_thin(o, ends) for o in outputs):
        return OutputKind("lines", ends)
    if straight and between < 0.08:
        return OutputKind("mask", ends)
    apart = np.linalg.norm(pixels[:, None] - colours[None], axis=-1).min(axis=1)
    exact = float((apart < _EXACT).mean())
    if covered > 0.95 and exact > 0.85 and len(colours) <= _MOST_COLOURS:
        return OutputKind("mask", colours)
    return OutputKind("picture", np.zeros((0, 3), np.float32))


def amount(output: RGB, colours: Ends) -> Float[np.ndarray, "h w"]:
    """How far each pixel lies from the first colour to the second, [0, 1]."""
    return _along(output.reshape(-1, 3), colours).reshape(output.shape[:2])


def shares(output: RGB, colours: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "k h w"]:
    """One map a colour: 1 where it is the nearest; soft between two colours."""
    if len(colours) == 2:
        second = amount(output, colours)
        return np.stack([1 - second, second])
    apart = np.linalg.norm(output[None] - colours[:, None, None], axis=-1)
    nearest = apart.argmin(axis=0)
    return np.stack([nearest == index for index in range(len(colours))]).astype(np.float32)


def _thinned_out(output: RGB) -> Colours:
    step = max(1, round(max(output.shape[:2]) / 160))
    return output[step // 2 :: step, step // 2 :: step].reshape(-1, 3)


def _palette(pixels: Colours) -> tuple[Float[np.ndarray, "k 3"], float]:
    """The most frequent colours, and the share of the pixels near one of them."""
    left = pixels
    colours: list[Float[np.ndarray, " 3"]] = []
    while len(left) > 0.01 * len(pixels) and len(colours) <= _MOST_COLOURS:
        codes = np.rint(left * 10).astype(np.int64) @ np.array([121, 11, 1])
        values, counts = np.unique(codes, return_counts=True)
        centre = left[codes == values[counts.argmax()]].mean(axis=0)
        near = np.linalg.norm(left - centre, axis=1) < _NEAR
        if not near.any():
            break
        colours.append(left[near].mean(axis=0))
        left = left[~near]
    return np.array(colours, np.float32), 1 - len(left) / len(pixels)


def _ends(pixels: Colours, first: Float[np.ndarray, " 3"]) -> Ends:
    """The most frequent colour and the one farthest from it, not counting a few strays."""
    apart = np.linalg.norm(pixels - first, axis=1)
    limit = np.sort(apart)[-max(1, round(0.002 * len(apart)))]
    far = pixels[apart >= max(limit * 0.95, 1e-6)]
    return np.stack([first, far.mean(axis=0) if len(far) else first]).astype(np.float32)


def _along(pixels: Colours, ends: Ends) -> Float[np.ndarray, " n"]:
    way = ends[1] - ends[0]
    share = (pixels - ends[0]) @ way / max(float(way @ way), 1e-9)
    return np.asarray(np.clip(share, 0, 1))


def _is_thin(output: RGB, ends: Ends) -> bool:
    """Whether little of the marks survives an opening of about a hundredth of the image."""
    from scipy import ndimage

    marks = amount(output, ends) > 0.15
    if not marks.any() or min(marks.shape) < 24:
        return False
    side = 2 * max(1, round(max(marks.shape) / 160)) + 1
    # The opening with a square, by filters along one axis at a time: a binary one with the whole
    # square costs its area at every pixel.
    worn = ndimage.minimum_filter(marks.view(np.uint8), side, mode="constant")
    opened = ndimage.maximum_filter(worn, side, mode="constant")
    return int(opened.sum(dtype=np.int64)) < _THIN * float(marks.sum())
