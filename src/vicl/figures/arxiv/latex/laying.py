"""Where the boxes of a figure stand on the page: TeX's boxes and glue, as far as figures need them.

Lengths are points; x grows to the right, y downwards, from the left end of a box's line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vicl.figures.arxiv.latex.boxes import (
    Align,
    Anchor,
    Box,
    Boxed,
    Captioned,
    Graphic,
    Line,
    Lines,
    Raised,
    Scaled,
    Space,
    Strut,
    Table,
    Turned,
    Words,
)
from vicl.figures.arxiv.latex.lengths import LONGEST

_AXIS: Final = 0.25
"""Height, in ems, of the middle of what stands centred in a line."""

_LINESKIP: Final = 1.0
_EM: Final = 10.0
_SHARES: Final[dict[Align, float]] = {"left": 0.0, "center": 0.5, "right": 1.0}

Measure = Callable[[Graphic | Words], tuple[float, float]]
"""The width and height of a picture by itself (of what is shown of it), or of text."""


@dataclass(frozen=True)
class Placed:
    """A picture or text at its place.

    Attributes:
        content: What it is.
        x: Of its centre.
        y: Likewise.
        width: Before it is turned.
        height: Likewise.
        angle: By which it is turned, in degrees against the clock.
    """

    content: Graphic | Words
    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height of the upright rectangle around it."""
        cos, sin = _direction(self.angle)
        return (
            abs(self.width * cos) + abs(self.height * sin),
            abs(self.width * sin) + abs(self.height * cos),
        )


@dataclass(frozen=True)
class Laid:
    """A box that is laid out: its size about its line, and what is in it."""

    width: float
    ascent: float
    descent: float
    placed: tuple[Placed, ...] = ()

    @property
    def height(self) -> float:
        """From its top to its bottom."""
        return self.ascent + self.descent


def lay(box: Box, measure: Measure) -> Laid:
    """Lay a box out.

    Args:
        box: Nested no deeper than what :func:`vicl.figures.arxiv.latex.figures.read_figures` gives.
        measure: Sizes, in points.
    """
    match box:
        case Graphic():
            width, height = _graphic_size(box, *measure(box))
            return Laid(width, height, 0.0, (Placed(box, width / 2, -height / 2, width, height),))
        case Words():
            width, height = measure(box)
            descent = 0.25 * height
            placed = Placed(box, width / 2, descent - height / 2, width, height)
            return Laid(width, height - descent, descent, (placed,))
        case Strut():
            return Laid(box.width, box.ascent, box.descent)
        case Space():
            return Laid(box.width, 0.0, 0.0)
        case Lines():
            return _lay_lines(box, measure)
        case Table():
            return _lay_table(box, measure)
        case Boxed():
            return _lay_boxed(box, measure)
        case Captioned():
            return _lay_captioned(box, measure)
        case Scaled():
            return _scaled(lay(box.body, measure), box)
        case Turned():
            return _turned(lay(box.body, measure), box)
        case Raised():
            body = lay(box.body, measure)
            up = box.by + box.share * body.height
            return Laid(
                body.width, body.ascent + up, body.descent - up, _moved(body.placed, 0.0, -up)
            )
    raise TypeError(f"box: got {type(box).__name__}, expected one that is known")


def _graphic_size(graphic: Graphic, width: float, height: float) -> tuple[float, float]:
    width, height = max(width, 0.01), max(height, 0.01)
    across = None if graphic.width is None else graphic.width / width
    up = None if graphic.height is None else graphic.height / height
    if across is not None and up is not None:
        if graphic.keep_aspect:
            across = up = min(across, up)
    elif across is None:
        across = up = graphic.scale if up is None else up
    else:
        up = across
    return _limited(width * abs(across)), _limited(height * abs(up or 0.0))


def _limited(length: float) -> float:
    return max(-LONGEST, min(LONGEST, length))


def _moved(placed: Iterable[Placed], x: float, y: float) -> tuple[Placed, ...]:
    return tuple(replace(one, x=one.x + x, y=one.y + y) for one in placed)


def _direction(angle: float) -> tuple[float, float]:
    """Cosine and sine, exact for right angles."""
    quarter = {0.0: (1.0, 0.0), 90.0: (0.0, 1.0), 180.0: (-1.0, 0.0), 270.0: (0.0, -1.0)}
    turned = angle % 360
    return quarter.get(turned) or (math.cos(math.radians(turned)), math.sin(math.radians(turned)))


def _turned(body: Laid, box: Turned) -> Laid:
    cos, sin = _direction(box.angle)
    # About the left end of the line, y downwards.
    corners = [
        (x * cos + y * sin, y * cos - x * sin)
        for x in (0.0, body.width)
        for y in (-body.ascent, body.descent)
    ]
    left, right = min(x for x, _ in corners), max(x for x, _ in corners)
    top, bottom = min(y for _, y in corners), max(y for _, y in corners)
    down = 0.0
    if box.about_center:
        down = (body.descent - body.ascent) / 2 - (top + bottom) / 2
    placed = tuple(
        replace(
            one,
            x=one.x * cos + one.y * sin - left,
            y=one.y * cos - one.x * sin + down,
            angle=one.angle + box.angle,
        )
        for one in body.placed
    )
    return Laid(right - left, -(top + down), bottom + down, placed)


def _scaled(body: Laid, box: Scaled) -> Laid:
    across = box.width / body.width if box.width is not None and body.width > 0 else None
    up = box.height / body.height if box.height is not None and body.height > 0 else None
    if across is not None and up is not None and box.keep_aspect:
        across = up = min(across, up)
    across = up if across is None else across
    across = box.scale if across is None else across
    up = across if up is None else up
    across, up = min(abs(across), 1e4), min(abs(up), 1e4)
    placed = []
    for one in body.placed:
        lying = abs(_direction(one.angle)[1]) > 0.71
        wide, tall = (up, across) if lying else (across, up)
        placed.append(
            replace(
                one,
                x=_limited(one.x * across),
                y=_limited(one.y * up),
                width=_limited(one.width * wide),
                height=_limited(one.height * tall),
            )
        )
    return Laid(
        _limited(body.width * across),
        _limited(body.ascent * up),
        _limited(body.descent * up),
        tuple(placed),
    )


def _lay_boxed(box: Boxed, measure: Measure) -> Laid:
    body = lay(box.body, measure)
    width = body.width if box.width is None else box.width
    left = (width - body.width) * _SHARES[box.align] + box.border
    return Laid(
        width + 2 * box.border,
        body.ascent + box.border,
        body.descent + box.border,
        _moved(body.placed, left, 0.0),
    )


def _lay_captioned(box: Captioned, measure: Measure) -> Laid:
    body = lay(box.body, measure)
    width = body.width if box.width is None else box.width
    placed = _moved(body.placed, (width - body.width) / 2, 0.0)
    descent = body.descent
    if box.caption.items:
        caption = lay(Lines((box.caption,), max(width, 1.0), anchor="top"), measure)
        descent += box.gap
        placed += _moved(caption.placed, 0.0, descent + caption.ascent)
        descent += caption.height
    return Laid(width, body.ascent + box.above, descent + box.below, placed)


@dataclass(frozen=True)
class _Row:
    """A line after it is broken: what is in it, and whether its paragraph goes on after it."""

    items: tuple[tuple[Box, Laid], ...]
    line: Line
    goes_on: bool = False

    @property
    def width(self) -> float:
        return sum(laid.width for _, laid in self.items)


def _lay_lines(box: Lines, measure: Measure) -> Laid:
    rows: list[_Row] = []
    for line in box.lines:
        items = [(item, lay(item, measure)) for item in line.items]
        rows.extend(_broken(items, line, box.width))
    width = box.width
    if width is None:
        width = max((row.width for row in rows), default=0.0)
    placed: list[Placed] = []
    bottom, baseline, last = 0.0, 0.0, 0.0
    first: float | None = None
    begun = goes_on = False
    for row in rows:
        if not row.items:
            bottom += row.line.below
            first = first or 0.0  # it begins with room, on which nothing stands
            continue
        ascent = max(laid.ascent for _, laid in row.items)
        descent = max(laid.descent for _, laid in row.items)
        room = bottom - (baseline + last) if begun else bottom
        step = last + ascent
        if begun and (goes_on or not row.line.stacked):
            step = max(row.line.leading, step + _LINESKIP)
        baseline += step + room if begun else ascent + bottom
        first = baseline if first is None else first
        begun = True
        placed.extend(_moved(_across(row, width), 0.0, baseline))
        last, goes_on = descent, row.goes_on
        bottom = baseline + descent + (0.0 if row.goes_on else row.line.below)
    total = bottom if box.height is None else box.height
    ascent = _anchored(box.anchor, total, first or 0.0, total - last)
    return Laid(width, ascent, total - ascent, _moved(placed, 0.0, -ascent))


def _broken(items: Sequence[tuple[Box, Laid]], line: Line, width: float | None) -> list[_Row]:
    """A line as rows that are no wider than there is room, where it may be broken at all."""
    if width is None or not items:
        return [_Row(tuple(items), line)]
    rows: list[_Row] = []
    row: list[tuple[Box, Laid]] = []
    total, shrink, chance = 0.0, 0.0, -1  # the last place in the row where it may be broken
    for item, laid in items:
        if isinstance(item, Space):
            if not row and rows:
                continue  # glue is nothing at the beginning of a row that was broken
            if item.breaks and row:
                chance = len(row)
            shrink += item.shrink
        elif chance >= 0 and total + laid.width - shrink > width + 0.01:
            rows.append(_Row(_stripped(row[:chance]), line, goes_on=True))
            row = list(_stripped(row[chance:], left=True))
            total = sum(one.width for _, one in row)
            shrink = sum(one.shrink for one, _ in row if isinstance(one, Space))
            chance = -1
        row.append((item, laid))
        total += laid.width
    rows.append(_Row(_stripped(row), line))
    return rows


def _stripped(
    row: Sequence[tuple[Box, Laid]], *, left: bool = False
) -> tuple[tuple[Box, Laid], ...]:
    """A row without the blanks at its end, or without all glue at its beginning."""
    start, end = 0, len(row)
    while left and start < end and isinstance(row[start][0], Space):
        start += 1
    while not left and end > start:
        last = row[end - 1][0]
        if not (isinstance(last, Space) and last.is_blank):
            break
        end -= 1
    return tuple(row[start:end])


def _across(row: _Row, width: float) -> list[Placed]:
    """What is in a row, side by side."""
    spare = width - row.width
    spaces = [item for item, _ in row.items if isinstance(item, Space)]
    align = row.line.align
    fill = sum(space.stretch for space in spaces if not space.weak)
    weak = not fill
    margins = 0.0
    if weak and (fill := sum(space.stretch for space in spaces)):
        # A centred line has margins that stretch as much, another one has one such.
        margins = 2.0 if align == "center" else float(align == "right" or not row.goes_on)
    blanks = sum(space.is_blank for space in spaces)
    shrink = sum(space.shrink for space in spaces)
    per_fill = spare / (fill + margins) if fill and spare > 0 else 0.0
    per_blank = 0.0
    if spare > 0 and not fill and blanks and row.goes_on and align == "left":
        per_blank = spare / blanks
    narrower = min(1.0, -spare / shrink) if spare < 0 < shrink else 0.0
    x = 0.0
    if spare > 0 and not fill and not per_blank:
        x = spare * _SHARES[align]
    elif margins and align != "left":
        x = per_fill
    placed: list[Placed] = []
    for item, laid in row.items:
        placed.extend(_moved(laid.placed, x, 0.0))
        x += laid.width
        if isinstance(item, Space):
            x += item.stretch * per_fill * (item.weak == weak) - item.shrink * narrower
            x += per_blank if item.is_blank else 0.0
    return placed


def _anchored(anchor: Anchor, total: float, first: float, last: float) -> float:
    """How far a box goes above its line; `first` and `last` are its own lines, from its top."""
    if anchor == "top":
        return first
    return last if anchor == "bottom" else total / 2 + _AXIS * _EM


def _lay_table(box: Table, measure: Measure) -> Laid:
    laid = [[lay(cell.body, measure) for cell in row] for row in box.rows]
    widths = _column_widths(box, laid)
    gaps = list(box.gaps)
    if box.width is not None and len(widths) > 1:
        extra = (box.width - sum(widths) - sum(gaps)) / (len(widths) - 1)
        gaps[1:-1] = [gap + max(0.0, extra) for gap in gaps[1:-1]]
    lefts, x = [], 0.0
    for gap, width in zip(gaps, widths, strict=False):
        lefts.append(x + gap)
        x += gap + width
    total_width = x + gaps[len(widths)]
    baselines, total = _row_places(box, laid)
    placed: list[Placed] = []
    for number, (row, bodies) in enumerate(zip(box.rows, laid, strict=True)):
        place = 0
        for cell, body in zip(row, bodies, strict=True):
            if place >= len(widths):
                break
            end = min(place + cell.columns, len(widths)) - 1
            room = lefts[end] + widths[end] - lefts[place]
            left = lefts[place] + (room - body.width) * _SHARES[cell.align]
            line = baselines[number]
            if cell.rows != 1:
                # As the package does: in the middle of so many rows of text, or from their top.
                tall = abs(cell.rows) * box.strut
                top = line - 0.7 * box.strut if cell.rows > 0 else line + 0.3 * box.strut - tall
                line = top + max(0.0, tall - body.height) / 2 + body.ascent - cell.raised
            placed.extend(_moved(body.placed, left, line))
            place += cell.columns
    first, last = (baselines[0], baselines[-1]) if baselines else (0.0, 0.0)
    ascent = _anchored(box.anchor, total, first, last)
    return Laid(total_width, ascent, total - ascent, _moved(placed, 0.0, -ascent))


def _column_widths(box: Table, laid: Sequence[Sequence[Laid]]) -> list[float]:
    """Of single cells first; what wider cells lack, the last of their columns gets, as in TeX."""
    count = len(box.columns)
    widths = [column.width or 0.0 for column in box.columns]
    wide: list[tuple[int, int, float]] = []
    for row, bodies in zip(box.rows, laid, strict=True):
        place = 0
        for cell, body in zip(row, bodies, strict=True):
            end = min(place + cell.columns, count) - 1
            if end < place:
                break
            if end > place:
                wide.append((place, end, body.width))
            elif box.columns[place].width is None:
                widths[place] = max(widths[place], body.width)
            place += cell.columns
    for place, end, needed in wide:
        lacking = needed - sum(widths[place : end + 1]) - sum(box.gaps[place + 1 : end + 1])
        widths[end] += max(0.0, lacking)
    return widths


def _row_places(box: Table, laid: Sequence[Sequence[Laid]]) -> tuple[list[float], float]:
    """The lines of rows, and the height of all."""
    baselines, y = [], 0.0
    for row, bodies, below in zip(box.rows, laid, box.below, strict=True):
        ascent, descent = 0.7 * box.strut, 0.3 * box.strut
        if below > 0:
            descent += below
        for cell, body in zip(row, bodies, strict=True):
            if cell.rows == 1:
                ascent, descent = max(ascent, body.ascent), max(descent, body.descent)
        baselines.append(y + ascent)
        y += ascent + descent + min(0.0, below)
    return baselines, y
