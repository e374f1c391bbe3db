r"""Commands of a figure that move, measure and name: room, lengths, fonts, captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vicl.figures.arxiv.latex.boxes import Captioned, Line, Space, Strut
from vicl.figures.arxiv.latex.flow import Flow, Style
from vicl.figures.arxiv.latex.material import command, lines
from vicl.figures.arxiv.latex.plain import after_arguments, plain
from vicl.figures.arxiv.latex.reading import Reader
from vicl.figures.arxiv.latex.tex import joined


@command("\\hspace")
def _horizontal(reader: Reader, flow: Flow, style: Style) -> None:
    reader.star()
    parts = reader.argument()
    if any(part in ("\\fill", "\\stretch") for part in parts):
        flow.add(Space(0.0, 1.0, breaks=True))
    else:
        flow.add(Space(reader.read_length(parts, style), breaks=True))


@command("\\kern", "\\hskip", "\\mkern", "\\mskip")
def _kern(reader: Reader, flow: Flow, style: Style) -> None:
    value = reader.inline_length(style)
    if value is not None:
        flow.add(Space(value))


@command("\\vspace", "\\addvspace", "\\addlinespace")
def _vertical(reader: Reader, flow: Flow, style: Style) -> None:
    reader.star()
    parts = reader.argument()
    if not any(part in ("\\fill", "\\stretch") for part in parts):
        flow.rise(reader.read_length(parts, style))


@command("\\vskip")
def _skip(reader: Reader, flow: Flow, style: Style) -> None:
    flow.end_line(style, reader.inline_length(style) or 0.0)


@command("\\\\", "\\newline", "\\tabularnewline", "\\cr")
def _break(reader: Reader, flow: Flow, style: Style) -> None:
    reader.star()
    below = reader.option()
    flow.end_line(style, 0.0 if below is None else reader.read_length(below, style))


@command("\\par", "\\linebreak", "\\hline", "\\endgraf", "\\break")
def _end_line(reader: Reader, flow: Flow, style: Style) -> None:
    flow.end_line(style)


@command("\\setlength")
def _set_length(reader: Reader, flow: Flow, style: Style) -> Style:
    name = joined(reader.argument())
    value = style.length(joined(reader.argument()))
    return style if value is None else style.with_register(name, value)


@command("\\addtolength")
def _add_length(reader: Reader, flow: Flow, style: Style) -> Style:
    name = joined(reader.argument())
    value = style.length(joined(reader.argument()))
    before = style.length(name)
    if value is None or before is None:
        return style
    return style.with_register(name, before + value)


@command("\\newlength", "\\newdimen")
def _new_length(reader: Reader, flow: Flow, style: Style) -> Style:
    return style.with_register(joined(reader.argument()), 0.0)


@command("\\arraystretch")
def _stretch(reader: Reader, flow: Flow, style: Style) -> Style:
    try:
        value = float(joined(reader.argument())[:10])
    except ValueError:
        return style
    return replace(style, stretch=value if 0 <= value <= 100 else style.stretch)


@command("\\fontsize")
def _font_size(reader: Reader, flow: Flow, style: Style) -> Style:
    text = joined(reader.argument())
    reader.argument()
    value = style.length(text) or style.length(f"{text}pt")
    return style if value is None else replace(style, size=max(1.0, min(100.0, value)))


@command("\\tabcolsep")
def _column_separation(reader: Reader, flow: Flow, style: Style) -> Style:
    if reader.peek() == "{":  # it was set by \renewcommand
        return style.with_register("\\tabcolsep", reader.length(style))
    value = reader.inline_length(style)
    return style if value is None else style.with_register("\\tabcolsep", value)


@command("\\bigskip")
def _big_skip(reader: Reader, flow: Flow, style: Style) -> None:
    flow.rise(12.0)


@command("\\medskip")
def _medium_skip(reader: Reader, flow: Flow, style: Style) -> None:
    flow.rise(6.0)


@command("\\smallskip")
def _small_skip(reader: Reader, flow: Flow, style: Style) -> None:
    flow.rise(3.0)


@command("\\centering", "\\Centering")
def _centre(reader: Reader, flow: Flow, style: Style) -> Style:
    return replace(style, align="center")


@command("\\raggedright", "\\RaggedRight")
def _left(reader: Reader, flow: Flow, style: Style) -> Style:
    return replace(style, align="left")


@command("\\raggedleft")
def _right(reader: Reader, flow: Flow, style: Style) -> Style:
    return replace(style, align="right")


@command("\\caption")
def _caption(reader: Reader, flow: Flow, style: Style) -> None:
    numbered = not reader.star()
    reader.option()
    parts = reader.argument()
    _note_labels(reader, parts, style)
    if not style.sub:
        reader.captions.append(plain(parts))
    else:
        flow.end_line(style, 6.0)
        flow.lines.append(_caption_line(reader, parts, 9.0, numbered=numbered))


@command("\\captionof")
def _caption_of(reader: Reader, flow: Flow, style: Style) -> None:
    reader.star()
    reader.argument()
    _caption(reader, flow, style)


@command("\\subcaption")
def _sub_caption(reader: Reader, flow: Flow, style: Style) -> None:
    _caption(reader, flow, replace(style, sub=True))


@command("\\cmidrule")
def _rule_under_columns(reader: Reader, flow: Flow, style: Style) -> None:
    r"""`\cmidrule[width](lr){1-2}`, which draws a line only."""
    reader.option()
    if (reader.peek() or "").startswith("("):
        reader.take()
    reader.argument()


@command("\\newcolumntype")
def _column_type(reader: Reader, flow: Flow, style: Style) -> None:
    """A kind of columns is taken by its width where it is used."""
    reader.argument()
    reader.option()
    reader.argument()


@command("\\label")
def _label(reader: Reader, flow: Flow, style: Style) -> None:
    (reader.sublabels if style.sub else reader.labels).append(joined(reader.argument()))


def _note_labels(reader: Reader, parts: Sequence[str], style: Style) -> None:
    """Note the labels in a caption."""
    for place, part in enumerate(parts):
        if part == "\\label":
            name = parts[place + 1 : after_arguments(parts, place + 1, 1)]
            text = joined(part for part in name if part not in ("{", "}"))
            (reader.sublabels if style.sub else reader.labels).append(text)
            break


def _caption_line(
    reader: Reader, parts: Sequence[str], size: float, *, numbered: bool = True
) -> Line:
    """A subfigure's caption, with its letter, in a font of a size."""
    text = plain(parts)
    if numbered:
        text = f"({_letters(reader.letters)}) {text}"
        reader.letters += 1
    leading = 1.2 * size
    flow = Flow(items=[Strut(0.0, 0.7 * leading, 0.3 * leading)])
    for number, word in enumerate(text.split()):
        reader.count_box()
        if number:
            flow.blank(size)
        flow.write(word, size)
    return Line(tuple(flow.items), "center", 0.0, leading, stacked=True)


def _letters(number: int) -> str:
    return chr(ord("a") + number % 26)


@command("\\subfloat")
def _subfloat(reader: Reader, flow: Flow, style: Style) -> None:
    r"""`\subfloat[list][caption]{body}` of subfig, with room above where no glue is before it."""
    after_glue = flow.align is not None or (flow.items and isinstance(flow.items[-1], Space))
    _captioned(reader, flow, style, above=0.0 if after_glue else 10.0, gap=4.0, below=0.0)
    reader.pass_blank()


@command("\\subfigure", "\\subtable")
def _subfigure(reader: Reader, flow: Flow, style: Style) -> None:
    r"""`\subfigure[list][caption]{body}` of the package subfigure."""
    _captioned(reader, flow, style, above=0.0, gap=5.0, below=4.4)


def _captioned(
    reader: Reader, flow: Flow, style: Style, *, above: float, gap: float, below: float
) -> None:
    captions = [option for option in (reader.option(), reader.option()) if option is not None]
    inner = replace(style, sub=True)
    body = lines(reader, inner)
    caption = Line(())
    if captions:
        _note_labels(reader, captions[-1], inner)
        caption = _caption_line(reader, captions[-1], 8.0)
    flow.add(Captioned(body, caption, gap, above, below))


@command("\\subcaptionbox")
def _subcaptionbox(reader: Reader, flow: Flow, style: Style) -> None:
    r"""`\subcaptionbox[list]{caption}[width][inner]{body}`."""
    numbered = not reader.star()
    reader.option()
    parts = reader.argument()
    given = reader.option()
    reader.option()
    width = None if given is None else reader.read_length(given, style)
    inner = style if width is None else replace(style, line=width, align="center")
    inner = replace(inner, sub=True)
    _note_labels(reader, parts, inner)
    caption = _caption_line(reader, parts, 9.0, numbered=numbered)
    body = lines(reader, inner, width=width)
    flow.add(Captioned(body, caption, gap=6.0, width=width))
