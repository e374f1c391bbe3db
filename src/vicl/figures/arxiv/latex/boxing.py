"""Commands of a figure that make boxes: pictures, and what frames, resizes and turns them."""

from __future__ import annotations

from dataclasses import replace

from vicl.figures.arxiv.latex.boxes import (
    Boxed,
    Line,
    Lines,
    Raised,
    Scaled,
    Space,
    Strut,
    Turned,
)
from vicl.figures.arxiv.latex.flow import Flow, Style
from vicl.figures.arxiv.latex.including import epsfig, include
from vicl.figures.arxiv.latex.material import ALIGN, anchor_of, command, lines
from vicl.figures.arxiv.latex.reading import Reader
from vicl.figures.arxiv.latex.tex import joined


@command("\\includegraphics", "\\adjincludegraphics")
def _include(reader: Reader, flow: Flow, style: Style) -> None:
    flow.add(include(reader, style))


@command("\\adjustimage")
def _adjusted(reader: Reader, flow: Flow, style: Style) -> None:
    flow.add(include(reader, style, options=reader.argument()))


@command("\\epsfig", "\\psfig")
def _epsfig(reader: Reader, flow: Flow, style: Style) -> None:
    flow.add(epsfig(reader, style))


@command("\\parbox")
def _parbox(reader: Reader, flow: Flow, style: Style) -> None:
    anchor = anchor_of(reader.option())
    height = reader.option()
    reader.option()
    width = max(0.0, reader.length(style))
    tall = None if height is None else reader.read_length(height, style)
    inner = replace(style, line=width, align="left")
    flow.add(lines(reader, inner, width=width, height=tall, anchor=anchor))


@command("\\makebox", "\\mbox", "\\framebox")
def _makebox(reader: Reader, flow: Flow, style: Style) -> None:
    width, place = reader.option(), reader.option()
    wide = None if width is None else reader.read_length(width, style)
    align = ALIGN.get(joined(place or ())[:1], "center")
    flow.add(Boxed(lines(reader, style), wide, align))


@command("\\fbox", "\\frame", "\\fcolorbox")
def _fbox(reader: Reader, flow: Flow, style: Style) -> None:
    border = style.registers["\\fboxsep"] + style.registers["\\fboxrule"]
    flow.add(Boxed(lines(reader, style), border=max(0.0, border)))


@command("\\shortstack")
def _short_stack(reader: Reader, flow: Flow, style: Style) -> None:
    r"""`\shortstack[align]{a\\b}`: lines on each other, 3 points apart; the last is its line."""
    place = joined(reader.option() or ())
    body = lines(reader, replace(style, align=ALIGN.get(place, "center")), anchor="bottom")
    apart = [replace(line, below=line.below + 3.0, stacked=True) for line in body.lines[:-1]]
    last = [replace(line, stacked=True) for line in body.lines[-1:]]
    flow.add(replace(body, lines=(*apart, *last)))


@command("\\makecell", "\\thead", "\\substack")
def _stack(reader: Reader, flow: Flow, style: Style) -> None:
    r"""`\makecell[align]{a\\b}`: lines in the middle."""
    place = joined(reader.option() or ())
    given = [ALIGN[letter] for letter in place if letter in ALIGN]
    align = given[0] if given else "center"
    inner = replace(style, align=align)
    flow.add(lines(reader, inner, anchor="bottom" if "b" in place else "center"))


@command("\\stackunder", "\\stackon")
def _under(reader: Reader, flow: Flow, style: Style) -> None:
    r"""`\stackunder[gap]{box}{text}`."""
    gap = reader.option()
    between = 3.0 if gap is None else reader.read_length(gap, style)
    upper, lower = lines(reader, style), lines(reader, style)
    both = (
        Line((upper,), "center", between, stacked=True),
        Line((lower,), "center", stacked=True),
    )
    flow.add(Lines(both, anchor="top"))


@command("\\centerline", "\\leftline", "\\rightline")
def _centred_line(reader: Reader, flow: Flow, style: Style) -> None:
    flow.end_line(style)
    flow.add(_in_one_line(reader, replace(style, align="center"), style.line))
    flow.end_line(style)


@command("\\hbox")
def _hbox(reader: Reader, flow: Flow, style: Style) -> None:
    r"""`\hbox{}`, `\hbox to 2cm{}`."""
    width = None
    if reader.peek() == "to":
        reader.pass_blank()
        reader.take()
        width = reader.inline_length(style)
    if width is None:
        flow.add(lines(reader, style))
    else:
        flow.add(_in_one_line(reader, replace(style, align="left"), width))


def _in_one_line(reader: Reader, style: Style, width: float) -> Lines:
    """A line of a width, which is not broken; what stretches in it fills it.

    A centred one has margins that stretch, too.
    """
    margins = style.align == "center"
    body = lines(reader, style, width=width)
    whole = []
    for line in body.lines:
        items = (
            replace(item, breaks=False, weak=item.weak and margins)
            if isinstance(item, Space)
            else item
            for item in line.items
        )
        whole.append(replace(line, items=tuple(items)))
    return replace(body, lines=tuple(whole))


@command("\\resizebox")
def _resize(reader: Reader, flow: Flow, style: Style) -> None:
    reader.star()
    sizes = []
    for _ in range(2):
        parts = reader.argument()
        sizes.append(None if joined(parts) == "!" else reader.read_length(parts, style))
    flow.add(Scaled(lines(reader, style), sizes[0], sizes[1]))


@command("\\scalebox")
def _scale(reader: Reader, flow: Flow, style: Style) -> None:
    try:
        scale = float(joined(reader.argument())[:20])
    except ValueError:
        scale = 1.0
    reader.option()
    scale = scale if 0 < scale <= 100 else 1.0
    flow.add(Scaled(lines(reader, style), scale=scale))


@command("\\rotatebox")
def _rotate(reader: Reader, flow: Flow, style: Style) -> None:
    centred = "c" in joined(reader.option() or ()).partition("=")[2]
    try:
        angle = float(joined(reader.argument())[:20])
    except ValueError:
        angle = 0.0
    angle = angle % 360 if abs(angle) <= 1e6 else 0.0
    flow.add(Turned(lines(reader, style), angle, centred))


@command("\\raisebox")
def _raise(reader: Reader, flow: Flow, style: Style) -> None:
    text = joined(reader.argument())
    reader.option()
    reader.option()
    none = style.length(text, height=0.0, totalheight=0.0, depth=0.0)
    one = style.length(text, height=1.0, totalheight=1.0, depth=0.0)
    if none is None or one is None:
        reader.reasons["a length that cannot be read"] = None
        none = one = 0.0
    flow.add(Raised(lines(reader, style), none, one - none))


@command("\\rule")
def _rule(reader: Reader, flow: Flow, style: Style) -> None:
    raised = reader.option()
    up = 0.0 if raised is None else reader.read_length(raised, style)
    width, height = reader.length(style), reader.length(style)
    reader.count_box()
    flow.add(Strut(max(0.0, width), max(0.0, height + up), max(0.0, -up)))
