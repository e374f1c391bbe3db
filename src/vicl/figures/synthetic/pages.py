"""Pages: figures as they stand in papers, with all that papers put around pictures.

A page is planned here, so that pictures can be drawn at the size of their cells;
:mod:`vicl.figures.synthetic.page_drawing` then draws it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from vicl.canvas.rects import Rect
from vicl.figures.synthetic.captions import caption, heading, label
from vicl.figures.synthetic.rules.drawing import pick
from vicl.figures.synthetic.scenes.chance import often
from vicl.figures.synthetic.scenes.rendering import LEAST_SIDE

Pixels = tuple[int, int, int]

Text = tuple[str, int, int, int, bool]
"""What is written, and where: text, left, top, pixels high, turned by a quarter."""

_LINES = (*(1,) * 6, *(2,) * 28, *(3,) * 12, *(4,) * 4, 5, 6)
_SHOWN = (*(2,) * 30, 3, 3, 4, 4, 5, 6)
"""How many lines of scenes pages have, and pictures a scene, as often as they are listed."""
_OBLONG = 1.4
"""Cells are at most so many times as high as wide, or as wide as high, if all are equal."""
_LEAST = 20
"""Least side of a cell, in pixels, unless the page is very small."""


@dataclass(frozen=True)
class Inset:
    """An enlarged part of each picture, in one of its corners; shares of the cell's sides.

    Attributes:
        y: Middle of the part.
        x: Likewise.
        part: Side of the part.
        shown: Side of the inset.
        corner: 0 to 3: top left, top right, bottom left, bottom right.
        colour: Of the frames.
    """

    y: float
    x: float
    part: float
    shown: float
    corner: int
    colour: Pixels


@dataclass(frozen=True)
class Plan:
    """Everything about a page but its pictures.

    Attributes:
        size: (height, width) in pixels.
        rects: One tuple a scene: its input and its outputs.
        paper: Colour of the page.
        ink: Of its text and arrows.
        border: Width of the frames around pictures, 0 for none.
        texts: What is written, and where.
        labels: Written onto each picture, "" for nothing; one tuple a scene.
        arrows: Between the pictures of a scene.
        inset: In each picture, or None.
        quality: Of the JPEG file that the page was, or None.
    """

    size: tuple[int, int]
    rects: tuple[tuple[Rect, ...], ...]
    paper: Pixels
    ink: Pixels
    border: int
    texts: tuple[Text, ...]
    labels: tuple[tuple[str, ...], ...]
    arrows: bool
    inset: Inset | None
    quality: int | None


def plan_page(rng: Generator, size: tuple[int, int]) -> Plan:
    """Draw everything about a page but its pictures.

    There are 1 to 6 lines of 1 to 3 scenes with 1 to 5 outputs each, so up to 6 by 6 pictures.

    Args:
        rng: Decides.
        size: (height, width) in pixels.
    """
    while True:
        plan = _draw_plan(rng, size)
        # On small pages margins, headings and unequal cells may come together.
        if min(side for row in plan.rects for rect in row for side in rect.size) >= LEAST_SIDE:
            return plan


def _draw_plan(rng: Generator, size: tuple[int, int]) -> Plan:
    shown, number, abreast = _counts(rng, size)
    lines = often(rng, 0.7)
    long, wide = (number, abreast * shown) if lines else (abreast * shown, number)
    line = max(7, round(0.042 * min(size)))
    frame, texts = _margins(rng, size, line)
    gaps = (_gap(rng, size), _gap(rng, size))
    arrows = often(rng, 0.12) and gaps[0] >= 5
    names = often(rng, 0.3) and min(size) >= 96
    frame = _narrowed(rng, frame, long, wide)
    if names:
        frame = Rect(frame.top + line + 4, frame.left, frame.height - line - 4, frame.width)
    tops = _cuts(rng, frame.top, frame.height, long, gaps[1])
    lefts = _cuts(rng, frame.left, frame.width, wide, gaps[0])
    if names:
        texts += [
            (heading(rng, column, room=room, line=line), left, frame.top - line - 4, line, False)
            for column, (left, room) in enumerate(lefts)
        ]
    cells = [[Rect(top, left, high, wide) for left, wide in lefts] for top, high in tops]
    if not lines:
        cells = [list(column) for column in zip(*cells, strict=True)]
    rects = tuple(
        tuple(cells[at][place * shown + part] for part in range(shown))
        for at in range(number)
        for place in range(abreast)
    )
    paper, ink = _colours(rng)
    return Plan(
        size=size,
        rects=rects,
        paper=paper,
        ink=ink,
        border=0 if often(rng, 0.7) else 1 + int(rng.integers(2)),
        texts=tuple(texts),
        labels=_labels(rng, len(rects), shown),
        arrows=arrows,
        inset=_inset(rng) if often(rng, 0.08) else None,
        quality=int(rng.integers(25, 95)) if often(rng, 0.4) else None,
    )


def _counts(rng: Generator, size: tuple[int, int]) -> tuple[int, int, int]:
    """Pictures a scene, lines of scenes, and scenes in a line."""
    most = max(2, min(size) // _LEAST)
    shown = min(pick(rng, _SHOWN), most)
    number = min(pick(rng, _LINES), most)
    # So many scenes beside each other that cells come out about as wide as high.
    abreast = min(max(1, round(number * rng.uniform(0.5, 1.2) / shown)), min(most, 6) // shown)
    return shown, number, abreast


def _margins(rng: Generator, size: tuple[int, int], line: int) -> tuple[Rect, list[Text]]:
    """The part of a page that is left for pictures, and the text around it."""
    height, width = size
    edge = 0 if often(rng, 0.3) else int(rng.integers(1, max(2, min(size) // 16)))
    top, left, bottom, right = edge, edge, height - edge, width - edge
    texts: list[Text] = []
    if min(size) >= 96 and often(rng, 0.25):
        rows = 1 + int(rng.integers(3))
        bottom -= rows * (line + 2) + 5
        words = caption(rng, rows, room=right - left, line=line)
        texts += [
            (text, left, bottom + 2 + row * (line + 2), line, False)
            for row, text in enumerate(words)
        ]
    if min(size) >= 96 and often(rng, 0.12):
        words_up = heading(rng, 0, room=height, line=line)
        texts.append((words_up, left, (top + bottom) // 3, line, True))
        left += line + 2
    if often(rng, 0.15):  # white space, as beside a figure of another shape
        spare = int(rng.integers(0, min(size) // 4))
        if often(rng, 0.5):
            bottom -= spare
        else:
            right -= spare
    return Rect(top, left, bottom - top, right - left), texts


def _narrowed(rng: Generator, frame: Rect, long: int, wide: int) -> Rect:
    """The part of the page in which cells are neither very flat nor very narrow."""
    height = min(frame.height, round(frame.width / wide * _OBLONG) * long)
    width = min(frame.width, round(frame.height / long * _OBLONG) * wide)
    top = frame.top + round((frame.height - height) * float(pick(rng, (0, 0.5, 0.5, 1))))
    return Rect(top, frame.left + (frame.width - width) // 2, height, width)


def _gap(rng: Generator, size: tuple[int, int]) -> int:
    """Pixels between neighbouring pictures."""
    if often(rng, 0.15):
        return 0
    return int(rng.integers(1, 4) if often(rng, 0.6) else rng.integers(3, 3 + min(size) // 18))


def _cuts(rng: Generator, start: int, length: int, parts: int, gap: int) -> list[tuple[int, int]]:
    """(start, length) of each cell along one side; of unequal lengths on some pages."""
    gap = min(gap, max(0, length // parts - 9))
    room = length - gap * (parts - 1)
    if often(rng, 0.75):
        # To the pixel, so that one drawing gives input and output; what is left over is margin.
        ends = room // parts * np.arange(1, parts + 1)
    else:
        shares = np.cumsum(rng.uniform(0.75, 1.33, parts))
        ends = np.round(shares / shares[-1] * room).astype(int)
    begins = np.concatenate([[0], ends[:-1]])
    return [
        (start + int(begin) + number * gap, int(end - begin))
        for number, (begin, end) in enumerate(zip(begins, ends, strict=True))
    ]


def _colours(rng: Generator) -> tuple[Pixels, Pixels]:
    """Of a page and of its ink."""
    kind = rng.random()
    if kind < 0.75:
        return (255, 255, 255), (0, 0, 0)
    if kind < 0.87:
        return (0, 0, 0), (255, 255, 255)
    level = 256 - int(rng.integers(1, 50))
    red, green, blue = (max(0, level - int(v)) for v in rng.integers(0, 30, 3))
    return (red, green, blue), (20, 20, 20)


def _labels(rng: Generator, scenes: int, shown: int) -> tuple[tuple[str, ...], ...]:
    """What is written onto each picture: a letter, on some pages."""
    if not often(rng, 0.2):
        return ((("",) * shown),) * scenes
    style = int(rng.integers(4))
    by_scene = often(rng, 0.3)
    if by_scene:
        return tuple((label(scene, style), *("",) * (shown - 1)) for scene in range(scenes))
    return tuple(
        tuple(label(scene * shown + part, style) for part in range(shown))
        for scene in range(scenes)
    )


def _inset(rng: Generator) -> Inset:
    part = float(rng.uniform(0.15, 0.25))
    return Inset(
        y=float(rng.uniform(0.3, 0.7)),
        x=float(rng.uniform(0.3, 0.7)),
        part=part,
        shown=part * float(rng.uniform(1.6, 2.2)),
        corner=int(rng.integers(4)),
        colour=pick(rng, ((255, 0, 0), (255, 220, 0), (0, 200, 0), (255, 255, 255))),
    )
