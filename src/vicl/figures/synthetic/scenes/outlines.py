"""Outlines of shapes as polygons in a box from -1 to 1."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float32

Points = Float32[np.ndarray, "k 2"]
"""Corners (x, y), y down, one after the other round an area."""

_ROUND = 48
"""Corners of a circle: at a radius of 40 px it is then 0.1 px off at most."""


def _arc(start: float, stop: float, *, radius: float = 1.0, points: int = _ROUND) -> Points:
    """Points of a circle about the origin, both ends included; angles in turns, clockwise."""
    turns = np.linspace(start, stop, points, dtype=np.float32) * np.float32(2 * np.pi)
    circle: Points = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return circle * np.float32(radius)


def _regular(corners: int) -> Points:
    return _arc(-0.25, 0.75 - 1 / corners, points=corners)


def _star() -> Points:
    points = _arc(-0.25, 0.65, points=10)
    points[1::2] *= 0.42
    return points


def _heart() -> Points:
    t = np.linspace(0, 2 * np.pi, _ROUND, endpoint=False, dtype=np.float32)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y], axis=1)


def _crescent() -> Points:
    """A disc without a disc of the same size that is moved to the right by 0.6."""
    corner = math.acos(0.3) / (2 * math.pi)
    outer = _arc(corner, 1 - corner)
    inner = _arc(0.5 + corner, 0.5 - corner) + np.array([0.6, 0], np.float32)
    return np.concatenate([outer, inner[1:-1]])


def _drop() -> Points:
    t = np.linspace(0, 2 * np.pi, _ROUND, endpoint=False, dtype=np.float32)
    return np.stack([np.sin(t) * np.sin(t / 2) ** 2, -np.cos(t)], axis=1)


def _cross() -> Points:
    a = 0.36
    corners = [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a)]
    half = np.array(corners, dtype=np.float32)
    return np.concatenate([half, -half])


def _polygon(*corners: tuple[float, float]) -> Points:
    return np.array(corners, dtype=np.float32)


def _fitted(points: Points) -> Points:
    """Moved and scaled, without stretching, until the longer side fills the box."""
    low, high = points.min(axis=0), points.max(axis=0)
    fitted: Points = (points - (low + high) / 2) * np.float32(2 / (high - low).max())
    return fitted


_OUTLINES: dict[str, Points] = {
    "circle": _arc(0.0, 1 - 1 / _ROUND),
    "square": _polygon((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)),
    "triangle": _polygon((0.0, -0.9), (1.0, 0.9), (-1.0, 0.9)),
    "star": _star(),
    "ring": _arc(0.0, 1 - 1 / _ROUND),
    "cross": _cross(),
    "heart": _heart(),
    "diamond": _polygon((0.0, -1.0), (0.7, 0.0), (0.0, 1.0), (-0.7, 0.0)),
    "pentagon": _regular(5),
    "hexagon": _regular(6),
    "crescent": _crescent(),
    "drop": _drop(),
    "arrow": _polygon(
        (-1.0, -0.3), (0.1, -0.3), (0.1, -0.75), (1.0, 0.0), (0.1, 0.75), (0.1, 0.3), (-1.0, 0.3)
    ),
    "half-disc": _arc(0.5, 1.0),
    "ellipse": _arc(0.0, 1 - 1 / _ROUND) * np.array([1, 0.6], np.float32),
    "bar": _polygon((-1.0, -0.35), (1.0, -0.35), (1.0, 0.35), (-1.0, 0.35)),
}


def _blob(seed: int) -> Points:
    """A smooth closed line: a circle whose radius swings with a few random waves."""
    rng = np.random.default_rng(seed)
    turns = np.arange(_ROUND) * (2 * np.pi / _ROUND)
    waves = np.arange(2, 6)
    heights = rng.normal(size=4) * 0.5 / waves
    shifts = rng.random(4) * 2 * np.pi
    radius = 1 + (heights * np.cos(turns[:, None] * waves + shifts)).sum(axis=1)
    radius = np.maximum(radius, 0.35)
    points: Points = (radius * np.stack([np.cos(turns), np.sin(turns)])).T.astype(np.float32)
    return points


def _random_polygon(seed: int) -> Points:
    rng = np.random.default_rng(seed)
    corners = int(rng.integers(5, 9))
    turns = 2 * np.pi * (np.arange(corners) + rng.uniform(-0.35, 0.35, corners)) / corners
    radius = rng.uniform(0.55, 1, corners)
    points: Points = (radius * np.stack([np.cos(turns), np.sin(turns)])).T.astype(np.float32)
    return points


def outline(shape: str, seed: int = 0) -> Points:
    """The outline of a shape that has one.

    Args:
        shape: One of `SHAPES`, "blob" or "polygon".
        seed: Of a blob or polygon; others ignore it.

    Returns:
        Its corners; they fill the box from -1 to 1 along the longer side. Not to be written to.

    Raises:
        ValueError: If the shape is unknown or has no outline.
    """
    return _outline(shape, 0 if shape in _OUTLINES else seed)


@lru_cache(maxsize=4096)
def _outline(shape: str, seed: int) -> Points:
    if shape == "blob":
        points = _blob(seed)
    elif shape == "polygon":
        points = _random_polygon(seed)
    elif shape in _OUTLINES:
        points = _OUTLINES[shape]
    else:
        raise ValueError(
            f"shape: got {shape!r}, expected one of {', '.join(_OUTLINES)}, blob, polygon"
        )
    points = _fitted(points)
    points.setflags(write=False)
    return points


@lru_cache(maxsize=16)
def hole(shape: str) -> Points | None:
    """What is cut out of a shape: of a ring its inside, of others nothing."""
    return _arc(0.0, 1 - 1 / _ROUND, radius=0.55) if shape == "ring" else None


def reach(shape: str, seed: int = 0) -> float:
    """Distance of the farthest corner from the centre of the box, between 1 and the root of 2.

    For shapes without an outline of their own (text, pictures), the corner of the box.
    """
    if shape in ("text", "picture", "region"):
        return 2**0.5
    return _reach(shape, 0 if shape in _OUTLINES else seed)


@lru_cache(maxsize=4096)
def _reach(shape: str, seed: int) -> float:
    return float(np.hypot(*outline(shape, seed).T).max())
