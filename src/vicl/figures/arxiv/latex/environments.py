"""Environments of a figure: minipages, subfigures, tables; and drawings, which are not followed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from vicl.figures.arxiv.latex.boxes import Align, Cell, Column, Lines, Scaled, Strut, Table, Turned
from vicl.figures.arxiv.latex.flow import Flow, Style
from vicl.figures.arxiv.latex.including import include, keys
from vicl.figures.arxiv.latex.material import (
    Ends,
    anchor_of,
    command,
    environment,
    lines,
    material,
)
from vicl.figures.arxiv.latex.reading import NotUnderstoodError, Reader
from vicl.figures.arxiv.latex.tables import MOST_COLUMNS, columns_of
from vicl.figures.arxiv.latex.tex import joined

_ROW_ENDS: Final = ("\\\\", "\\tabularnewline", "\\cr")
_AROUND: Final = 9.0
"""Room above and below centred paragraphs, in points."""


def _end(name: str) -> Ends:
    return frozenset((f"\\end{{{name}}}",))


@environment("minipage")
def _minipage(name: str, reader: Reader, flow: Flow, style: Style) -> None:
    anchor = anchor_of(reader.option())
    height = reader.option()
    reader.option()
    width = max(0.0, reader.length(style))
    tall = None if height is None else reader.read_length(height, style)
    inner = style.within(width)
    flow.add(lines(reader, inner, width=width, height=tall, anchor=anchor, ends=_end(name)))


@command("\\minipage")
def _minipage_command(reader: Reader, flow: Flow, style: Style) -> None:
    r"""`\minipage{width} ... \endminipage`, as some papers have it."""
    anchor = anchor_of(reader.option())
    width = max(0.0, reader.length(style))
    ends: Ends = frozenset(("\\endminipage",))
    flow.add(lines(reader, style.within(width), width=width, anchor=anchor, ends=ends))


@environment("subfigure", "subtable", "subcaptionblock")
def _subfigure(name: str, reader: Reader, flow: Flow, style: Style) -> None:
    anchor = anchor_of(reader.option(), "bottom")
    height = reader.option()
    reader.option()
    width = max(0.0, reader.length(style))
    tall = None if height is None else reader.read_length(height, style)
    inner = replace(style.within(width), sub=True)
    flow.add(lines(reader, inner, width=width, height=tall, anchor=anchor, ends=_end(name)))


@environment("varwidth")
def _varwidth(name: str, reader: Reader, flow: Flow, style: Style) -> None:
    anchor = anchor_of(reader.option())
    width = max(0.0, reader.length(style))
    flow.add(lines(reader, style.within(width), anchor=anchor, ends=_end(name)))


@environment("center", "flushleft", "flushright")
def _paragraphs(name: str, reader: Reader, flow: Flow, style: Style) -> None:
    align: Align = "center"
    if name != "center":
        align = "left" if name == "flushleft" else "right"
    flow.end_line(style)
    if flow.lines:
        flow.rise(_AROUND)
    _, inner = material(reader, flow, replace(style, align=align), _end(name))
    flow.end_line(inner, _AROUND)


@environment(
    "small", "footnotesize", "scriptsize", "tiny", "normalsize", "large", "centering",
    "subcaptiongroup", "threeparttable", "figure", "figure*", "document", "group", "math",
    "displaymath", "sc", "bf", "it", "subfigures", "singlespace", "sloppypar",
)  # fmt: skip
def _transparent(name: str, reader: Reader, flow: Flow, style: Style) -> None:
    material(reader, flow, style, _end(name))


@environment("adjustwidth", "adjustwidth*")
def _adjusted_width(name: str, reader: Reader, flow: Flow, style: Style) -> None:
    reader.option()
    margins = reader.length(style) + reader.length(style)
    width = max(0.0, style.line - margins)
    flow.end_line(style)
    inner = replace(style, line=width)
    flow.add(lines(reader, inner, width=width, ends=_end(name)))
    flow.end_line(style)


@environment("adjustbox")
def _adjustbox(name: str, reader: Reader, flow: Flow, style: Style) -> None:
    options = dict(keys(reader.argument()))
    body = lines(reader, style, ends=_end(name))
    flow.add(_adjusted(body, options, reader, style))


@command("\\adjustbox")
def _adjustbox_command(reader: Reader, flow: Flow, style: Style) -> None:
    options = dict(keys(reader.argument()))
    flow.add(_adjusted(lines(reader, style), options, reader, style))


def _adjusted(
    body: Lines, options: dict[str, list[str]], reader: Reader, style: Style
) -> Scaled | Turned | Lines:
    """A box with the options of the package adjustbox that change its size."""
    sizes = []
    for names in (("width", "max width"), ("height", "max height", "totalheight")):
        given = next((options[name] for name in names if name in options), None)
        sizes.append(None if given is None else reader.read_length(given, style))
    if sizes[0] is not None or sizes[1] is not None:
        return Scaled(body, sizes[0], sizes[1], keep_aspect="keepaspectratio" in options)
    for name in ("trim", "clip", "scale", "rotate", "angle"):
        if options.get(name):
            reader.reasons[f"adjustbox with {name}"] = None
    return body


@environment("turn", "rotate", "sideways")
def _turned(name: str, reader: Reader, flow: Flow, style: Style) -> None:
    angle = 90.0
    if name != "sideways":
        text = joined(reader.argument())
        angle = float(text) % 360 if re.fullmatch(r"-?[0-9]{1,5}(\.[0-9]{1,5})?", text) else 0.0
    flow.add(Turned(lines(reader, style, ends=_end(name)), angle))


@environment("overpic")
def _overpic(name: str, reader: Reader, flow: Flow, style: Style) -> None:
    """The picture; what is put over it is not drawn."""
    flow.add(include(reader, style))
    before, reasons = reader.graphics, dict(reader.reasons)
    material(reader, Flow(), style, _end(name))
    reader.reasons = reasons
    if reader.graphics > before:
        reader.reasons["pictures over a picture"] = None


@environment(
    "tikzpicture", "picture", "pspicture", "pgfpicture", "axis", "animateinline", "forest",
    "tikzcd", "circuitikz", "psfrags", "algorithm", "algorithmic", "tcolorbox",
)  # fmt: skip
def _drawing(name: str, reader: Reader, flow: Flow, style: Style) -> None:
    reader.reasons[f"environment {name}"] = None
    depth = 1
    while (token := reader.take()) is not None:
        depth += (token == f"\\begin{{{name}}}") - (token == f"\\end{{{name}}}")
        if depth == 0:
            return
    raise NotUnderstoodError("a group or an environment that does not end")


@environment("tabular", "array", "longtable", "tabu", "longtabu", "supertabular", "NiceTabular")
def _tabular(name: str, reader: Reader, flow: Flow, style: Style) -> None:
    _table(name, reader, flow, style, None)


@environment("tabular*", "tabularx", "tabulary", "xltabular", "tabu*")
def _wide_tabular(name: str, reader: Reader, flow: Flow, style: Style) -> None:
    _table(name, reader, flow, style, max(0.0, reader.length(style)))


def _table(name: str, reader: Reader, flow: Flow, style: Style, width: float | None) -> None:
    anchor = anchor_of(reader.option())
    spec = reader.argument()
    if name == "array":
        style = style.with_register("\\tabcolsep", style.registers["\\arraycolsep"])
    columns, gaps = columns_of(spec, style, width)
    rows: list[tuple[Cell, ...]] = []
    below: list[float] = []
    ends = frozenset(("&", *_ROW_ENDS, *_end(name)))
    with reader:
        ended: str | None = ""
        while ended not in _end(name):
            row: list[Cell] = []
            place = 0
            ended = "&"
            while ended == "&":
                column = columns[min(place, len(columns) - 1)]
                cell, ended = _cell(reader, style, column, ends)
                if place < MOST_COLUMNS:
                    row.append(cell)
                place += cell.columns
            rows.append(tuple(row))
            below.append(_below_row(reader, style) if ended in _ROW_ENDS else 0.0)
    if len(rows[-1]) == 1 and not rows[-1][0].body.lines:
        del rows[-1], below[-1]
    strut = 1.2 * style.size * style.stretch + style.registers["\\extrarowheight"]
    stretched = width if "\\extracolsep" in spec else None
    flow.add(Table(tuple(rows), columns, gaps, tuple(below), max(0.0, strut), stretched, anchor))


def _cell(reader: Reader, style: Style, column: Column, ends: Ends) -> tuple[Cell, str | None]:
    reader.count_box()
    flow = Flow(align=column.align)
    inner = replace(style, align=column.align)
    if column.width is not None:
        inner = replace(inner, line=column.width)
    ended, inner = material(reader, flow, inner, ends)
    flow.strip()
    if column.width is not None and flow.items:
        flow.add(Strut(0.0, 0.0, 0.36 * style.size * style.stretch))
    single = flow.columns == 1
    body = flow.finish(inner, width=column.width if single else None, anchor=column.anchor)
    return Cell(body, flow.align or column.align, flow.columns, flow.rows, flow.raised), ended


def _below_row(reader: Reader, style: Style) -> float:
    """Room that the end of a row asks for, and what comes between it and the next."""
    reader.star()
    option = reader.option()
    below = 0.0 if option is None else reader.read_length(option, style)
    while reader.peek() == "\\noalign":
        while reader.take() != "\\noalign":
            pass
        parts = reader.argument()
        for place, part in enumerate(parts[:-1]):
            if part in ("\\vskip", "\\vspace"):
                below += style.length(joined(_ungrouped(parts[place + 1 :]))) or 0.0
    return below


def _ungrouped(parts: Sequence[str]) -> list[str]:
    return [part for part in parts if part not in ("{", "}")]


@command("\\multicolumn")
def _multicolumn(reader: Reader, flow: Flow, style: Style) -> None:
    number = joined(reader.argument())
    spec = reader.argument()
    if re.fullmatch(r"[0-9]{1,4}", number):
        flow.columns = max(1, min(MOST_COLUMNS, int(number)))
    flow.align = columns_of(spec, style)[0][0].align
    _body(reader, flow, style)


@command("\\multirow")
def _multirow(reader: Reader, flow: Flow, style: Style) -> None:
    reader.option()
    number = joined(reader.argument())
    reader.option()
    width = joined(reader.argument())
    raised = reader.option()
    if raised is not None:
        flow.raised = reader.read_length(raised, style)
    if re.fullmatch(r"-?[0-9]{1,4}", number):
        flow.rows = int(number) or 1
    wide = style.length(width)
    if wide is not None:
        style = replace(style, line=max(0.0, wide))
    _body(reader, flow, style)


def _body(reader: Reader, flow: Flow, style: Style) -> None:
    """An argument that is set where it stands."""
    if reader.peek() == "{":
        reader.take()
        material(reader, flow, style, frozenset(("}",)))
