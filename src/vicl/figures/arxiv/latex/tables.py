"""The columns of a table, as its specification says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from vicl.figures.arxiv.latex.boxes import Align, Anchor, Column
from vicl.figures.arxiv.latex.flow import Style
from vicl.figures.arxiv.latex.plain import closing
from vicl.figures.arxiv.latex.tex import joined

MOST_COLUMNS: Final = 64

_ALIGN: Final[dict[str, Align]] = {"l": "left", "c": "center", "r": "right"}
_KERN: Final = re.compile(
    r"\\(?:hspace|hskip|kern|mspace) ?\*? ?\{?([^{}\\]{0,40}(?:\\[a-z]{1,20})?)"
)
_THIN: Final = {"\\,": 1 / 6, "\\;": 5 / 18, "\\:": 4 / 18, "\\!": -1 / 6, "\\ ": 1 / 3, "~": 1 / 3}


def columns_of(
    spec: Sequence[str], style: Style, width: float | None = None
) -> tuple[tuple[Column, ...], tuple[float, ...]]:
    """Read the columns of a table.

    Args:
        spec: Tokens such as `@{}l*{3}{c}p{2cm}|r`.
        style: What holds around the table.
        width: Of the whole table, which columns of kind X share; None: there are none.

    Returns:
        At least one column, at most `MOST_COLUMNS`; and the room before each and after the last,
        in points.
    """
    separation = style.registers["\\tabcolsep"]
    columns: list[Column] = []
    shares: list[int] = []
    # What stands at each boundary; None: the usual separation of a column's side.
    at_boundary: list[float | None] = [None]
    rest = _repeated(list(spec))
    place = 0
    while place < len(rest) and len(columns) < MOST_COLUMNS:
        token = rest[place]
        place += 1
        group: Sequence[str] = ()
        if place < len(rest) and rest[place] == "{":
            end = closing(rest, place)
            end = len(rest) if end is None else end
            group, place = rest[place + 1 : end], end + 1
        if token in ("@", "!"):
            base = at_boundary[-1] or 0.0
            at_boundary[-1] = base + _room(group, style) + (2 * separation if token == "!" else 0)
        elif token == "X":
            shares.append(len(columns))
            columns.append(Column("left", 0.0))
            at_boundary.append(None)
        elif token.isalpha():
            columns.append(_column(token, group, style))
            at_boundary.append(None)
    if not columns:
        columns, at_boundary = [Column()], [None, None]
    gaps = []
    for number, room in enumerate(at_boundary):
        inner = 0 < number < len(columns)
        gaps.append((2 if inner else 1) * separation if room is None else room)
    if shares and width is not None:
        # Columns that are as wide as their cells need are taken for as wide as the others.
        fixed = sum(column.width or 0.0 for column in columns)
        free = sum(column.width is None for column in columns) + len(shares)
        share = max(0.0, (width - sum(gaps) - fixed) / free)
        for number in shares:
            columns[number] = Column("left", share)
    return tuple(columns), tuple(gaps)


def _column(kind: str, group: Sequence[str], style: Style) -> Column:
    """One column; a kind that is not known is one of paragraphs where it has a width."""
    width = style.length(joined(group)) if group else None
    if kind in _ALIGN:
        return Column(_ALIGN[kind])
    if width is not None:
        anchors: dict[str, Anchor] = {"p": "top", "b": "bottom"}
        align: Align = "left" if kind in ("p", "m", "b") else "center"
        return Column(align, max(0.0, width), anchors.get(kind, "center"))
    return Column()


def _repeated(spec: list[str]) -> list[str]:
    """Single characters, and `*{3}{c}` written out."""
    flat: list[str] = []
    for token in spec:
        flat.extend([token] if token[0] == "\\" else token)
    found: list[str] = []
    for _ in range(4):  # repetitions in repetitions
        found, place, again = [], 0, False
        while place < len(flat) and len(found) < 40 * MOST_COLUMNS:
            if flat[place] != "*":
                found.append(flat[place])
                place += 1
                continue
            count, place = _group(flat, place + 1)
            repeated, place = _group(flat, place)
            number = joined(count)
            times = min(int(number), MOST_COLUMNS) if re.fullmatch(r"[0-9]{1,4}", number) else 0
            found.extend((repeated * times)[: 40 * MOST_COLUMNS])
            again = True
        flat = found
        if not again:
            break
    return found


def _group(parts: list[str], at: int) -> tuple[list[str], int]:
    """The group, or the character, at a place, and where it ends."""
    while at < len(parts) and parts[at] == " ":
        at += 1
    if at >= len(parts):
        return [], at
    if parts[at] != "{":
        return [parts[at]], at + 1
    end = closing(parts, at)
    end = len(parts) if end is None else end
    return parts[at + 1 : end], end + 1


def _room(parts: Sequence[str], style: Style) -> float:
    """How wide what stands between columns is, where it is blank."""
    text = joined(parts)
    room = sum(style.length(match[1]) or 0.0 for match in _KERN.finditer(text))
    if not text and parts:
        return room + style.size / 3
    return room + style.size * sum(_THIN.get(part, 0.0) for part in parts)
