"""What a page looks like, in numbers: whether it is a grid, and whether photographs are in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float, UInt8

from vicl.canvas.rects import Rect
from vicl.figures.arxiv.filtering.cutting import LEAST, Cut, cut_page

CUES: Final = (
    *("aspect", "paper", "flat", "soft", "steep", "entropy", "colourfulness", "colours"),
    *("parts", "small_parts", "small_area", "largest_part", "like_sized"),
    *("photographs", "photographs_area", "largest_photograph", "photographs_like_sized"),
    *("gutters_across", "gutters_down", "gutter_width", "gutters_outer", "gutter_level"),
    *("seam_across", "second_seam_across", "seam_down", "second_seam_down", "seam_cells"),
)
"""Names of the cues, in order; a filter is read with exactly those that it was fitted on."""

_SAME: Final = 0.04
"""Parts whose sides differ by less than this share are of like size."""

_STEP: Final = 12.0
"""Grey levels between neighbours that count as an edge of a seam."""


def layout_cues(image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, " n"]:
    """Measure a page.

    Args:
        image: RGB, at its own size; cues of very small ones say little.

    Returns:
        A number for each of `CUES`, float32 and finite; most are in [0, 1].
    """
    grey = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    cut = cut_page(grey)
    found = [*_tones(image, grey), *_parts(grey, cut), *_gutters(cut, grey.shape), *_seams(grey)]
    return np.array(found, np.float32)


def _tones(image: UInt8[np.ndarray, "h w 3"], grey: Float[np.ndarray, "h w"]) -> Sequence[float]:
    """Cues of the whole page's pixels."""
    height, width = grey.shape
    # Three bits a channel: enough to tell paper and ink, few enough that noise adds no colour.
    coarse = (image >> 5).astype(np.int32)
    counts = np.bincount((coarse @ np.array([64, 8, 1])).ravel(), minlength=512)
    flat, soft, steep = _steps(grey)
    return (
        math.log(width / height),
        float(counts.max() / grey.size),
        flat,
        soft,
        steep,
        _entropy(grey),
        _colourfulness(image),
        math.log1p(int(np.count_nonzero(counts > grey.size * 1e-4))) / math.log(512),
    )


def _steps(grey: Float[np.ndarray, "h w"]) -> tuple[float, float, float]:
    """Shares of neighbours beside each other that are equal, differ softly, and steeply."""
    if grey.shape[1] < 2:
        return 1.0, 0.0, 0.0
    steps = np.abs(np.diff(grey, axis=1))
    flat, steep = float((steps < 0.9).mean()), float((steps > 48).mean())
    return flat, 1 - flat - steep, steep


def _entropy(grey: Float[np.ndarray, "h w"]) -> float:
    """Of the grey levels in 64 bins, as a share of the most that it can be."""
    counts = np.bincount((grey.ravel() / 4).astype(np.int64).clip(0, 63), minlength=64)
    shares = counts[counts > 0] / grey.size
    return float(-(shares * np.log2(shares)).sum() / 6)


def _colourfulness(image: UInt8[np.ndarray, "h w 3"]) -> float:
    """Source: Hasler and Süsstrunk, "Measuring colourfulness", HVEI 2003; here over 100."""
    red, green, blue = (image[..., channel].astype(np.float32) for channel in range(3))
    one, two = red - green, (red + green) / 2 - blue
    spread = math.hypot(float(one.std()), float(two.std()))
    return (spread + 0.3 * math.hypot(float(one.mean()), float(two.mean()))) / 100


def _parts(grey: Float[np.ndarray, "h w"], cut: Cut) -> Sequence[float]:
    """Cues of what the page falls into."""
    large = [rect for rect in cut.parts if min(rect.size) >= LEAST]
    small = [rect for rect in cut.parts if min(rect.size) < LEAST]
    areas = [rect.height * rect.width / grey.size for rect in large]
    chances = [_photographic(grey[r.top : r.bottom, r.left : r.right]) for r in large]
    shots = [rect for rect, chance in zip(large, chances, strict=True) if chance > 0.5]
    of_shots = [a for a, chance in zip(areas, chances, strict=True) if chance > 0.5]
    return (
        math.log1p(len(large)) / 4,
        math.log1p(len(small)) / 6,
        sum(rect.height * rect.width for rect in small) / grey.size,
        max(areas, default=0.0),
        _like_sized(large),
        math.log1p(len(shots)) / 4,
        sum(a * chance for a, chance in zip(areas, chances, strict=True)),
        max(of_shots, default=0.0),
        _like_sized(shots),
    )


def _photographic(grey: Float[np.ndarray, "h w"]) -> float:
    """How like a photograph's the levels of a part are: many, and softly differing. In [0, 1]."""
    _, soft, _ = _steps(grey)
    return min(1.0, max(0.0, (_entropy(grey) - 0.45) / 0.3)) * min(1.0, max(0.0, soft / 0.5))


def _like_sized(rects: Sequence[Rect]) -> float:
    """Share of parts that are as high and as wide as another."""
    if len(rects) < 2:
        return 0.0
    sides = np.log([rect.size for rect in rects])
    apart = np.abs(sides[:, None] - sides[None]).max(axis=-1)
    np.fill_diagonal(apart, np.inf)
    return float((apart.min(axis=1) < _SAME).mean())


def _gutters(cut: Cut, size: tuple[int, ...]) -> Sequence[float]:
    """Cues of the bands between parts."""
    if not cut.gutters:
        return (0.0,) * 5
    across = sum(gutter.across for gutter in cut.gutters)
    widths = [gutter.width / max(size) for gutter in cut.gutters]
    return (
        math.log1p(across) / 4,
        math.log1p(len(cut.gutters) - across) / 4,
        min(0.2, float(np.median(widths))) * 5,
        sum(gutter.depth < 2 for gutter in cut.gutters) / len(cut.gutters),
        float(np.median([gutter.level for gutter in cut.gutters])) / 255,
    )


def _seams(grey: Float[np.ndarray, "h w"]) -> Sequence[float]:
    """Cues of straight edges through the whole page, where pictures stand edge to edge."""
    across, second_across = _straightest(np.ascontiguousarray(grey.T))
    down, second_down = _straightest(grey)
    return across, second_across, down, second_down, max(across, down) * min(across, down)


def _straightest(grey: Float[np.ndarray, "h w"]) -> tuple[float, float]:
    """The two columns at which most rows have an edge: by what share more than near them."""
    width = grey.shape[1]
    if width < 32:
        return 0.0, 0.0
    shares = (np.abs(np.diff(grey, axis=1)) > _STEP).mean(axis=0)
    near = np.convolve(np.pad(shares, 6, mode="edge"), np.ones(13) / 13, mode="valid")
    more = np.maximum(shares - near, 0)
    margin = width // 16
    more[:margin] = more[-margin:] = 0
    first = int(more.argmax())
    best = float(more[first])
    more[max(0, first - margin) : first + margin + 1] = 0
    return best, float(more.max())
