r"""How the text includes a picture: `\includegraphics` and its kin, with their options."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from vicl.figures.arxiv.latex.boxes import Box, Edges, Graphic, Raised, Scaled, Turned
from vicl.figures.arxiv.latex.flow import Style
from vicl.figures.arxiv.latex.reading import Reader
from vicl.figures.arxiv.latex.tex import joined

EXTENSIONS: Final = (
    ".pdf", ".png", ".jpg", ".mps", ".jpeg", ".jbig2", ".jb2",
    ".PDF", ".PNG", ".JPG", ".JPEG", ".eps", ".ps",
)  # fmt: skip
"""In the order in which pdfLaTeX tries them, then those of LaTeX with dvips."""

_MOST_CANDIDATES: Final = 200


def candidates(
    name: str, folders: Sequence[str], extensions: Sequence[str] = EXTENSIONS
) -> tuple[str, ...]:
    """Paths inside the source that a picture's name may mean, likeliest first.

    Args:
        name: As the text has it, with or without its extension.
        folders: Where it is looked for.
        extensions: What may be missing.
    """
    stem, suffix = posixpath.splitext(name)
    known = suffix.lower() in {extension.lower() for extension in EXTENSIONS} | {
        ".gif", ".bmp", ".tif", ".tiff",
    }  # fmt: skip
    names = [name] if known else []
    names += [name + extension for extension in extensions]
    if suffix.lower() in (".eps", ".ps"):
        names += [f"{stem}-eps-converted-to.pdf", *(stem + extension for extension in extensions)]
    if not known:
        names.append(name)
    paths = []
    for folder in folders:
        for file in names:
            path = posixpath.normpath(posixpath.join(folder, file))
            if not path.startswith(("../", "/")):
                paths.append(path)
    return tuple(dict.fromkeys(paths))[:_MOST_CANDIDATES]


def include(reader: Reader, style: Style, *, options: Sequence[str] | None = None) -> Box:
    r"""The picture of an `\includegraphics` that was just read.

    Args:
        reader: Stands after the command.
        style: What holds there.
        options: Where they do not stand in brackets, as in `\adjustimage`.
    """
    reader.star()
    if options is None:
        options = reader.option() or ()
    corner = reader.option()
    name = joined(reader.argument(), name=True)
    reader.count_box(graphic=True)
    graphic = Graphic(name, reader.candidates(name))
    if corner is not None:  # of old: [llx,lly][urx,ury]
        edges = _edges([*options, " ", *corner], style)
        return replace(graphic, viewport=edges) if edges else graphic
    return _with_options(graphic, options, reader, style)


def epsfig(reader: Reader, style: Style) -> Box:
    r"""The picture of an `\epsfig` or `\psfig` that was just read: its name is an option."""
    options = reader.argument()
    name = ""
    for key, value in keys(options):
        if key in ("file", "figure"):
            name = joined(value, name=True)
    reader.count_box(graphic=True)
    return _with_options(Graphic(name, reader.candidates(name)), options, reader, style)


def keys(options: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Options as pairs of a key and its value's tokens."""
    pairs: list[tuple[str, list[str]]] = []
    depth, current = 0, [""]
    for token in (*options, ","):
        depth += (token == "{") - (token == "}")
        if depth > 0 or token[0] == "\\" or token in ("{", "}") or not set(token) & {",", "="}:
            current.append(token)
            continue
        pieces = token.split(",")
        for number, piece in enumerate(pieces):
            if piece:
                current.append(piece)
            if number < len(pieces) - 1:
                pairs.append(_pair(current))
                current = [""]
    return [pair for pair in pairs if pair[0]]


def _pair(parts: Sequence[str]) -> tuple[str, list[str]]:
    key = ""
    for place, part in enumerate(parts):
        before, equal, after = part.partition("=")
        key += before
        if equal:
            return key.strip(), [after, *parts[place + 1 :]] if after else list(parts[place + 1 :])
    return key.strip(), []


def _with_options(graphic: Graphic, options: Sequence[str], reader: Reader, style: Style) -> Box:
    """The picture with its options, which work one after another: turned, then sized, differs."""
    box: Box = graphic
    width = height = None
    scale, keep, angle, turned_first, raised = 1.0, False, 0.0, False, 0.0
    for key, value in keys(options):
        if key in ("width", "max width"):
            width = reader.read_length(value, style)
        elif key in ("height", "totalheight", "max height", "max totalheight"):
            height = reader.read_length(value, style)
        elif key == "scale":
            scale = _number(value, 1.0)
        elif key == "angle":
            angle, turned_first = _number(value, 0.0), width is None and height is None
        elif key == "keepaspectratio":
            keep = joined(value) != "false"
        elif key in ("trim", "viewport"):
            edges = _edges(value, style)
            if edges is None:
                reader.reasons[f"a {key} that cannot be read"] = None
            elif key == "trim":
                graphic = replace(graphic, trim=edges)
            else:
                graphic = replace(graphic, viewport=edges)
        elif key == "valign":
            raised = {"m": -0.5, "M": -0.5, "c": -0.5, "t": -1.0, "T": -1.0}.get(joined(value), 0)
    sized = width is not None or height is not None
    if angle and turned_first and sized:
        box = Scaled(Turned(graphic, angle), width, height, 1.0, keep)
    else:
        box = replace(graphic, width=width, height=height, scale=scale, keep_aspect=keep)
        box = Turned(box, angle) if angle else box
    return Raised(box, 0.0, raised) if raised else box


def _number(parts: Sequence[str], default: float) -> float:
    """A plain number within ±1000."""
    try:
        found = float(joined(parts)[:20])
    except ValueError:
        return default
    return max(-1000.0, min(1000.0, found)) if found == found else default


def _edges(parts: Sequence[str], style: Style) -> Edges | None:
    """Four lengths, in points; without a unit they are big points."""
    text = joined(part for part in parts if part not in ("{", "}"))
    found = []
    for piece in text.replace(",", " ").split():
        value = style.length(piece)
        if value is None:
            value = style.length(f"{piece}bp")
        if value is None:
            return None
        found.append(value)
    return (found[0], found[1], found[2], found[3]) if len(found) == 4 else None
