"""A scripted person who marks pictures in the app: what is marked, and what each gesture costs.

A gesture is one press of a key, one click or one drag. Seconds are the keystroke-level model's
(Card, Moran and Newell 1980): a key 0.28, pointing 1.1 (0.8 to the next corner of an outline, its
lower end), a button's press or release 0.1, a drawn line 0.9 and 0.16 a centimetre, a look that
decides 1.35.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from browsing import framed, saved
from vicl.server.marks import UNKNOWN, Marks, blank, draw
from vicl.server.schemas import Stroke

KEY, POINT, CORNER, BUTTON, LINE, CENTIMETRE, LOOK = 0.28, 1.1, 0.8, 0.1, 0.9, 0.16, 1.35
PER_CENTIMETRE = 96 / 2.54
"""Pixels of the screen."""
TOLERANCES = (8.0, 5.0, 3.0, 2.0, 1.4, 1.0, 0.7)
"""How far an outline by hand may be off, in pixels of the image."""
NEAR = 12
"""The page closes a polygon by a click this near to its first corner, in pixels of the screen."""
MOST_STROKES = 15

Point = tuple[float, float]


@dataclass(frozen=True)
class Act:
    """One gesture: a key, a click on the picture, a corner, or a drag over it."""

    kind: str
    key: str = ""
    points: tuple[Point, ...] = ()

    def seconds(self, scale: float) -> float:
        """What it costs, at so many pixels of the screen a pixel of the image."""
        if self.kind == "key":
            return KEY
        if self.kind in ("click", "corner"):
            return (CORNER if self.kind == "corner" else POINT) + 2 * BUTTON
        path = sum(math.dist(a, b) for a, b in zip(self.points, self.points[1:], strict=False))
        return POINT + 2 * BUTTON + LINE + CENTIMETRE * path * scale / PER_CENTIMETRE


@dataclass(frozen=True)
class Plan:
    """Gestures, the overlap with the truth that they lead to, and the brush's size afterwards."""

    acts: tuple[Act, ...] = ()
    overlap: float = 0.0
    looks: int = 0
    size: int | None = None
    """None: as it was."""

    def seconds(self, scale: float) -> float:
        """What the gestures cost."""
        return sum(act.seconds(scale) for act in self.acts) + LOOK * self.looks


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def pieces(mask: np.ndarray, most: int | None = None) -> list[np.ndarray]:
    """Connected parts, the largest first, `most` of them."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    return [labels == 1 + number for number in np.argsort(-sizes)[:count][:most]]


def outlined(truth: np.ndarray, bar: float, scale: float, *, ground: bool) -> Plan:
    """Polygons around the pieces until the bar is reached, by the cheapest tolerance that does.

    Args:
        truth: Boolean mask.
        bar: Overlap that is enough.
        scale: Pixels of the screen a pixel of the image.
        ground: Fill what is left as ground, too.
    """
    plans = [_outlined(truth, bar, scale, tolerance) for tolerance in TOLERANCES]
    enough = [plan for plan in plans if plan.overlap >= bar]
    best = min(enough, key=lambda plan: plan.seconds(scale)) if enough else plans[-1]
    if not ground:
        return best
    inside = played(blank((truth.shape[0], truth.shape[1])), best, 1) == UNKNOWN
    fills = [Act("key", "0"), Act("key", "f")]
    for piece in pieces(inside):
        if piece.sum() > 0.01 * truth.size:
            y, x = _deepest(piece)[:2]
            fills.append(Act("click", points=((x + 0.5, y + 0.5),)))
    return replace(best, acts=(*best.acts, *fills, Act("key", "1")))


def _outlined(truth: np.ndarray, bar: float, scale: float, tolerance: float) -> Plan:
    from scipy import ndimage

    acts: list[Act] = [Act("key", "p")]
    marks = blank((truth.shape[0], truth.shape[1]))
    reached = 0.0
    klass = 1
    filled = [(1, ndimage.binary_fill_holes(piece)) for piece in pieces(truth)]
    holes = [(0, hole) for _, whole in filled for hole in pieces(whole & ~truth)]
    for value, piece in sorted([*filled, *holes], key=lambda pair: -int(pair[1].sum())):
        corners = _corners(piece, tolerance, scale)
        if len(corners) < 3:
            continue
        trial = marks.copy()
        draw(trial, _stroke("polygon", corners, value))
        now = overlap(trial == 1, truth)
        if now <= reached:
            continue
        marks, reached = trial, now
        if value != klass:
            acts.append(Act("key", str(value)))
            klass = value
        acts += [Act("corner", points=(corner,)) for corner in corners]
        acts.append(Act("key", "Enter"))
        if reached >= bar:
            break
    if klass != 1:
        acts.append(Act("key", "1"))
    return Plan(tuple(acts), reached, looks=1)


def _corners(piece: np.ndarray, tolerance: float, scale: float) -> list[Point]:
    from skimage.measure import approximate_polygon, find_contours

    padded = np.pad(piece, 1).astype(float)
    outer = max(find_contours(padded, 0.5), key=len)  # type: ignore[no-untyped-call]
    kept = approximate_polygon(outer, tolerance)[:-1] - 0.5  # type: ignore[no-untyped-call]
    points = [(round(float(x), 1), round(float(y), 1)) for y, x in kept]
    first = points[0] if points else (0.0, 0.0)
    return [
        point for n, point in enumerate(points) if n == 0 or math.dist(point, first) * scale > NEAR
    ]


def played(marks: Marks, plan: Plan, size: int) -> Marks:
    """What the gestures of a plan make of marks, if nothing is lost: begun in class 1.

    Args:
        marks: As they are before.
        plan: Its strokes end with the class 1.
        size: Of the brush, before.
    """
    found = marks.copy()
    value, corners = 1, []
    for act in plan.acts:
        if act.kind == "corner":
            corners.append(act.points[0])
        elif act.kind == "click":
            draw(found, _stroke("fill", act.points, value))
        elif act.kind == "drag":
            draw(found, _stroke("brush", act.points, value, size))
        elif act.key in "01":
            value = int(act.key)
        elif act.key in "[]":
            size = _grown(size, 1 if act.key == "]" else -1)
        elif act.key == "Enter":
            draw(found, _stroke("polygon", corners, value))
            corners = []
    return found


def corrected(
    answer: np.ndarray,
    truth: np.ndarray,
    bar: float,
    scale: float,
    size: int,
    *,
    most: float = math.inf,
) -> Plan | None:
    """Brush strokes in the largest errors until the bar is reached; None: not by so many.

    Each is the stroke that brings most a second, of a few brushes over the largest errors.

    Args:
        answer: Boolean mask that is wrong.
        truth: Boolean mask.
        bar: Overlap that is enough.
        scale: Pixels of the screen a pixel of the image.
        size: Of the brush, before.
        most: Seconds, over which there is a better way: None then, too.
    """
    now, acts, klass, strokes = answer.copy(), [Act("key", "b")], 1, 0
    reached = overlap(now, truth)
    while reached < bar:
        best: tuple[float, np.ndarray, list[Act], int, int] | None = None
        for wanted in (1, 0):
            error = (truth & ~now) if wanted else (now & ~truth)
            for piece in pieces(error, 2):
                depth = _deepest(piece)[2]
                for share in (0.5, 0.8, 1.1):
                    steps, brush = sized(size, 2 * share * depth)
                    path = _path(piece, brush / 2)
                    trial = np.where(now, np.uint8(1), np.uint8(0))
                    draw(trial, _stroke("brush", path, wanted, brush))
                    tried = ([Act("key", str(wanted))] if wanted != klass else []) + steps
                    tried.append(Act("drag", points=tuple(path)))
                    cost = sum(act.seconds(scale) for act in tried) + LOOK
                    gain = (overlap(trial == 1, truth) - reached) / cost
                    if best is None or gain > best[0]:
                        best = gain, trial == 1, tried, wanted, brush
        if best is None or best[0] <= 0 or strokes == MOST_STROKES:
            return None
        _, now, tried, klass, size = best
        acts += tried
        strokes += 1
        reached = overlap(now, truth)
        if sum(act.seconds(scale) for act in acts) + LOOK * strokes > most:
            return None
    if klass != 1:
        acts.append(Act("key", "1"))
    return Plan(tuple(acts), reached, looks=strokes, size=size)


def sized(size: int, wanted: float) -> tuple[list[Act], int]:
    """Presses of [ and ] that bring the brush near a size, as the page grows it."""
    acts: list[Act] = []
    key, steps = ("]", 1) if wanted > size else ("[", -1)
    while True:
        grown = _grown(size, steps)
        if abs(grown - wanted) >= abs(size - wanted):
            return acts, size
        acts.append(Act("key", key))
        size = grown


def _grown(size: int, steps: int) -> int:
    """The brush after a key, as the page grows it (`grow` of main.js)."""
    return min(400, max(1, math.floor(size * 1.18**steps + 0.6 * steps + 0.5)))


def _deepest(piece: np.ndarray) -> tuple[int, int, float]:
    """The place farthest from the edge (row, column), and how far."""
    depth, top, left = _depth(piece)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(y) + top, int(x) + left, float(depth[y, x])


def _depth(piece: np.ndarray) -> tuple[np.ndarray, int, int]:
    """How far from its edge a piece's pixels are, in its bounding box; the box's top and left."""
    from scipy import ndimage

    ((rows, columns),) = ndimage.find_objects(piece.astype(np.uint8))
    depth = ndimage.distance_transform_edt(np.pad(piece[rows, columns], 1))[1:-1, 1:-1]
    return depth, rows.start, columns.start


def _path(piece: np.ndarray, radius: float) -> list[Point]:
    """A way for the brush through a piece: between its two ends, where it is deep."""
    from scipy import ndimage
    from skimage.graph import MCP_Geometric
    from skimage.measure import approximate_polygon

    depth, top, left = _depth(piece)
    labels, _ = ndimage.label(depth >= min(0.8 * radius, float(depth.max())))
    start = np.unravel_index(int(depth.argmax()), depth.shape)
    costs = np.where(labels == labels[start], 1 / np.maximum(depth, 0.5), np.inf)
    for _ in range(2):
        ways = MCP_Geometric(costs)
        far, _ = ways.find_costs([start])
        end = np.unravel_index(int(np.where(np.isfinite(far), far, -1).argmax()), far.shape)
        way = ways.traceback(end)
        start = end
    kept = approximate_polygon(np.array(way), 1.0) if len(way) > 2 else np.array(way)  # type: ignore[no-untyped-call]
    return [(float(x) + left + 0.5, float(y) + top + 0.5) for y, x in kept]


def _stroke(tool: str, points: Sequence[Point], value: int, size: float = 40) -> Stroke:
    return Stroke.model_validate(
        {"op": "stroke", "key": "x", "tool": tool, "points": points, "class": value, "size": size}
    )


@dataclass
class Person:
    """Does gestures on a page, and counts them."""

    page: Any
    gestures: int = 0
    seconds: float = 0.0
    size: int = 40
    kinds: dict[str, int] = field(default_factory=dict)

    def count(self, kind: str, seconds: float) -> None:
        """One gesture."""
        self.gestures += 1
        self.seconds += seconds
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def look(self) -> None:
        """Look and decide; no gesture."""
        self.seconds += LOOK

    def key(self, name: str) -> None:
        """Press a key."""
        self.page.keyboard.press(name)
        self.count("keys", KEY)

    def press(self, selector: str) -> None:
        """Click a thing of the page."""
        self.page.click(selector)
        self.count("clicks", POINT + 2 * BUTTON)

    def perform(self, plan: Plan, shape: tuple[int, int]) -> None:
        """Do a plan on the open image, and wait until it is kept."""
        frame = framed(self.page, (shape[1], shape[0]))
        self.seconds += LOOK * plan.looks
        mouse = self.page.mouse
        for act in plan.acts:
            if act.kind == "key":
                self.page.keyboard.press(act.key)
            elif act.kind == "drag":
                mouse.move(*frame.place(act.points[0]))
                mouse.down()
                for point in act.points[1:]:
                    mouse.move(*frame.place(point), steps=2)
                mouse.up()
            else:
                mouse.click(*frame.place(act.points[0]))
            kind = {"key": "keys", "drag": "drags"}.get(act.kind, "clicks")
            self.count(kind, act.seconds(frame.scale))
        if plan.size is not None:
            self.size = plan.size
        saved(self.page)


def as_mask(marks: Marks, answer: Marks | None) -> np.ndarray:
    """What is class 1 of an image: marks over the answer."""
    under = np.zeros_like(marks) if answer is None else answer
    found: np.ndarray = np.where(marks == 255, under, marks) == 1
    return found
