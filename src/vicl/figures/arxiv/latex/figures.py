r"""The figures of a paper as its LaTeX text has them: pictures in boxes, with caption and label.

Most grids of pictures are put together in LaTeX from many files.  :func:`read_figures` reads them
from the paper's texts, :func:`vicl.figures.arxiv.latex.page.assemble` makes a picture of one.

The texts come from strangers, so the reader is vicl's own: of a known library for it, pylatexenc,
the parser calls itself for every brace, which a few thousand braces bring down; it does not expand
macros, and takes seconds for some hundred kilobytes of plain commands.  Here a paper's work is
counted in tokens and bounded, macros in place of others included, and so is all nesting.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from vicl.figures.arxiv.latex import boxing, commands, environments
from vicl.figures.arxiv.latex.boxes import Graphic, Lines, graphics_of
from vicl.figures.arxiv.latex.expanding import MOST_TOKENS, Expander, TooMuchTexError
from vicl.figures.arxiv.latex.flow import Flow, Style
from vicl.figures.arxiv.latex.including import EXTENSIONS, candidates
from vicl.figures.arxiv.latex.lengths import page_widths
from vicl.figures.arxiv.latex.material import known, material
from vicl.figures.arxiv.latex.reading import NotUnderstoodError, Reader
from vicl.figures.arxiv.latex.tex import joined

MOST_FIGURES: Final = 500
_MOST_TEXTS: Final = 1000
_MOST_FIGURE: Final = 50_000
_MOST_FOLDERS: Final = 10

_FLOATS: Final = frozenset(
    (
        "figure", "figure*", "wrapfigure", "wrapfigure*", "teaserfigure", "SCfigure", "SCfigure*",
        "sidewaysfigure", "sidewaysfigure*", "marginfigure", "figwindow", "floatingfigure",
    )
)  # fmt: skip
_TABLES: Final = frozenset(("table", "table*"))
_HOLDERS: Final = frozenset(("center", "strip", "minipage", "flushleft", "onecolumn"))
"""Environments outside figures that are one where they say so: with `\\\\captionof{figure}`."""

_MAIN: Final = re.compile(r"^[^%\n]*\\document(?:class|style)\b", re.MULTILINE)
_CLASS: Final = re.compile(r"\\documentclass[^{}]{0,200}\{subfiles\}")


@dataclass(frozen=True)
class LatexFigure:
    """A figure of a paper.

    Attributes:
        caption: Plain text, "" where there is none; of several captions one after another.
        label: What other places name it by; "" where there is none.
        environment: In which it stands: figure, figure*, wrapfigure, teaser.
        body: Its boxes, without the caption.
        reasons: Why it is not understood, each once; without any it is.
    """

    caption: str
    label: str
    environment: str
    body: Lines
    reasons: tuple[str, ...] = ()

    @property
    def graphics(self) -> tuple[Graphic, ...]:
        """Its pictures, in the text's order."""
        return tuple(graphics_of(self.body))


def read_figures(texts: Mapping[str, str]) -> list[LatexFigure]:
    """Read all figures of a paper.

    Every text with a document class of its own is read as a paper's main text, with what it
    includes; where there is none, all texts are read by themselves.  Equal figures of several main
    texts are given once.

    Args:
        texts: Texts of one source, by path ("/" between folders): `.tex`, and `.sty` with macros.

    Returns:
        In the texts' order, at most `MOST_FIGURES` a main text; those that are not understood, too.
        Where a paper asks for more work than one may, the last has the reason.
    """
    clean = {posixpath.normpath(path): text for path, text in list(texts.items())[:_MOST_TEXTS]}
    found: list[LatexFigure] = []
    visited: set[str] = set()
    spent = 0
    for main in _main_texts(clean):
        if main in visited:
            continue
        document = _Document(clean, main, MOST_TOKENS - spent)
        found.extend(document.read())
        visited |= document.visited
        spent += document.spent
        if spent >= MOST_TOKENS:
            break
    return list(dict.fromkeys(found))


def count_reasons(figures: Iterable[LatexFigure]) -> dict[str, int]:
    """For how many figures each reason holds, most frequent first."""
    counts = Counter(reason for figure in figures for reason in figure.reasons)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _main_texts(texts: Mapping[str, str]) -> list[str]:
    """Texts to begin with, sorted; all other ones are read where they are included."""
    documents = [path for path in sorted(texts) if path.endswith((".tex", ".ltx", ".latex"))]
    mains = [
        path for path in documents if _MAIN.search(texts[path]) and not _CLASS.search(texts[path])
    ]
    return mains or documents or sorted(texts)


class _Document:
    """One main text while it is read."""

    def __init__(self, texts: Mapping[str, str], main: str, most: int) -> None:
        self._expander = Expander(texts, main, kept=_KNOWN, most=most)
        self._style = Style()
        self._class = ""
        self._options: list[str] = []
        self._graphics_folders: tuple[str, ...] = ()
        self._extensions: tuple[str, ...] = EXTENSIONS
        self._figures: list[LatexFigure] = []

    @property
    def visited(self) -> set[str]:
        return self._expander.visited

    @property
    def spent(self) -> int:
        return self._expander.spent

    def read(self) -> list[LatexFigure]:
        """All figures, to the text's end or the end of what may be spent."""
        try:
            for token in self._expander:
                self._note(token)
                if len(self._figures) >= MOST_FIGURES:
                    break
        except TooMuchTexError:
            self._figures.append(LatexFigure("", "", "", Lines(()), ("more TeX than is read",)))
        return self._figures

    def _note(self, token: str) -> None:
        """Take what matters outside of figures."""
        if token[0] != "\\":
            return
        if token.startswith("\\begin{"):
            self._begin(token[7:-1])
        elif token == "\\graphicspath":
            self._set_folders()
        elif token == "\\DeclareGraphicsExtensions":
            names = joined(self._expander.expanded(self._expander.group())).split(",")
            given = tuple(name.strip() for name in names[:20] if name.strip().startswith("."))
            self._extensions = tuple(dict.fromkeys((*given, *EXTENSIONS)))
        elif token in ("\\documentclass", "\\documentstyle"):
            self._options = joined(self._expander.option() or ()).replace(" ", "").split(",")
            self._class = joined(self._expander.group())
        elif token == "\\teaser":
            self._add("teaser", self._expander.expanded(self._expander.group()))
        elif token in _SETTINGS:
            parts = [token]
            for _ in range(_SETTINGS[token]):
                parts += ["{", *self._expander.expanded(self._expander.group()), "}"]
            self._style = _styled(parts, self._style)

    def _set_folders(self) -> None:
        parts = self._expander.expanded(self._expander.group())
        text = "".join(part for part in parts if part != " ")
        folders = [name.strip() for name in re.split(r"[{}]+", text) if name.strip()]
        self._graphics_folders = tuple(folders[:_MOST_FOLDERS])

    def _begin(self, name: str) -> None:
        if name in _FLOATS or name in _TABLES:
            self._add(name, self._collect(name))
        elif name in _HOLDERS:
            parts = self._collect(name)
            if parts is not None and "\\includegraphics" in parts and _is_figure(parts):
                self._add("figure", [f"\\begin{{{name}}}", *parts, f"\\end{{{name}}}"])

    def _collect(self, name: str) -> list[str] | None:
        """The tokens of an environment; None where another figure begins before it ends."""
        parts: list[str] = []
        depth, over = 1, False
        while (token := self._expander.next()) is not None:
            if token.startswith("\\begin{"):
                inner = token[7:-1]
                depth += inner == name
                if inner in _FLOATS or (inner in _TABLES and name != inner):
                    self._expander.push((token,))
                    return None
            elif token == f"\\end{{{name}}}":
                depth -= 1
                if depth == 0:
                    break
            if len(parts) < _MOST_FIGURE:
                parts.append(token)
            else:
                over = True
        return [*parts, _OVER] if over else parts

    def _add(self, name: str, parts: list[str] | None) -> None:
        if parts is None:
            figure = LatexFigure("", "", name, Lines(()), ("an environment that does not end",))
        elif parts and parts[-1] == _OVER:
            figure = LatexFigure("", "", name, Lines(()), ("more TeX than is read",))
        else:
            figure = self._figure(name, parts)
        if name in _TABLES and not figure.graphics:
            return
        self._figures.append(figure)

    def _figure(self, name: str, parts: list[str]) -> LatexFigure:
        text, column = page_widths((self._class, *self._expander.packages), self._options)
        wide = name.endswith("*") or name in ("teaserfigure", "teaser")
        style = replace(self._style, text=text, column=column, line=text if wide else column)
        inside = (*self._graphics_folders, "")
        folders = tuple(
            posixpath.join(base, folder) for base in self._expander.folders for folder in inside
        )
        reader = Reader(parts, lambda file: candidates(file, ("", *folders), self._extensions))
        flow = Flow()
        try:
            style = _start(reader, name, style)
            _, style = material(reader, flow, style, frozenset((None,)))
        except NotUnderstoodError as error:
            reader.reasons[str(error)] = None
        body = flow.finish(style, width=style.line)
        caption = " ".join(caption for caption in reader.captions if caption)
        labels = reader.labels or reader.sublabels or [""]
        return LatexFigure(caption, labels[0][:200], name, body, tuple(reader.reasons))


def _start(reader: Reader, name: str, style: Style) -> Style:
    """Pass the arguments of a figure's environment."""
    if name in ("wrapfigure", "wrapfigure*", "SCfigure", "SCfigure*", "floatingfigure"):
        reader.option()
        if name.startswith("wrapfigure"):
            reader.argument()
            reader.option()
            width = style.length(joined(reader.argument()))
            return replace(style, line=width) if width else style
        if name == "floatingfigure":
            width = style.length(joined(reader.argument()))
            return replace(style, line=width) if width else style
    reader.option()
    return style


def _is_figure(parts: list[str]) -> bool:
    """Whether an environment says that its caption is a figure's."""
    for place, part in enumerate(parts):
        if part in ("\\captionof", "\\captionsetup"):
            said = joined(parts[place + 1 : place + 12])
            if "figure" in said:
                return True
        if part == "\\@captype":
            return True
    return False


def _styled(parts: list[str], style: Style) -> Style:
    """What holds after a command that sets a length."""
    reader = Reader(parts, lambda _: ())
    try:
        return material(reader, Flow(), style, frozenset((None,)))[1]
    except NotUnderstoodError:
        return style


_SETTINGS: Final[Mapping[str, int]] = {
    "\\setlength": 2,
    "\\addtolength": 2,
    "\\newlength": 1,
    "\\newdimen": 1,
    "\\arraystretch": 1,
    "\\tabcolsep": 1,
}
_OVER: Final = "\\relax more than is read"
_MODULES: Final = (boxing, commands, environments)  # imported for the commands that they list
_KNOWN: Final = known() | {
    f"\\{edge}{{{name}}}" for edge in ("begin", "end") for name in _FLOATS | _TABLES | _HOLDERS
}
