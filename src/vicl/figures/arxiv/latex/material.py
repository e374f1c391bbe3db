r"""Setting tokens into lines: what all commands and environments have in common.

Commands that are not known are passed over, and what they are applied to is set; what would change
the picture without being followed (drawings, loops, conditions) is a reason not to assemble it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from vicl.figures.arxiv.latex.boxes import Align, Anchor, Lines, Space
from vicl.figures.arxiv.latex.flow import Flow, Style
from vicl.figures.arxiv.latex.plain import UNSEEN, accent, after_arguments, plain, symbol
from vicl.figures.arxiv.latex.reading import NotUnderstoodError, Reader
from vicl.figures.arxiv.latex.tex import joined

Command = Callable[[Reader, Flow, Style], Style | None]
"""Does what a control sequence says; gives the style that holds after it, where it is another."""

Environment = Callable[[str, Reader, Flow, Style], None]
"""Sets an environment of a name, of which the beginning was read, with its end."""

Ends = frozenset[str | None]

_C = TypeVar("_C", bound=Command)
_E = TypeVar("_E", bound=Environment)

_COMMANDS: Final[dict[str, Command]] = {}
_ENVIRONMENTS: Final[dict[str, Environment]] = {}

_SIZES: Final[Mapping[str, float]] = {
    "\\tiny": 5.0, "\\scriptsize": 7.0, "\\footnotesize": 8.0, "\\small": 9.0,
    "\\normalsize": 10.0, "\\large": 12.0, "\\Large": 14.4, "\\LARGE": 17.28, "\\huge": 20.74,
    "\\Huge": 24.88,
}  # fmt: skip

_EMS: Final[Mapping[str, float]] = {
    "\\quad": 1.0, "\\qquad": 2.0, "\\enspace": 0.5, "\\enskip": 0.5, "\\,": 1 / 6,
    "\\thinspace": 1 / 6, "\\:": 4 / 18, "\\;": 5 / 18, "\\!": -1 / 6, "\\negthinspace": -1 / 6,
    "\\ ": 1 / 3, "\\space": 1 / 3, "~": 1 / 3,
}  # fmt: skip

_GLUE: Final = frozenset(("\\ ", "\\space", "\\quad", "\\qquad", "\\enskip"))
_FILLS: Final = frozenset(("\\hfill", "\\hfil", "\\hss", "\\dotfill", "\\hrulefill"))
_WEAK: Final = frozenset(("\\hfil", "\\hss"))

_NOT_FOLLOWED: Final[Mapping[str, str]] = {
    "\\foreach": "\\foreach", "\\multido": "\\multido", "\\forloop": "\\forloop",
    "\\loop": "\\loop", "\\whiledo": "\\whiledo", "\\ifthenelse": "a condition",
    "\\tikz": "\\tikz", "\\animategraphics": "\\animategraphics", "\\reflectbox": "\\reflectbox",
    "\\put": "\\put", "\\llap": "\\llap", "\\rlap": "\\rlap", "\\ffigbox": "\\ffigbox",
    "\\includesvg": "\\includesvg", "\\stackinset": "\\stackinset", "\\setbox": "a saved box",
    "\\sbox": "a saved box", "\\savebox": "a saved box", "\\usebox": "a saved box",
    "\\moveleft": "\\moveleft", "\\moveright": "\\moveright",
}  # fmt: skip

ALIGN: Final[Mapping[str, Align]] = {"l": "left", "c": "center", "r": "right"}
"""By the letters that say so."""

_WIDTHS: Final = frozenset(("\\linewidth", "\\textwidth", "\\columnwidth", "\\hsize"))
_GROUP: Final[Ends] = frozenset(("}",))


def command(*names: str) -> Callable[[_C], _C]:
    """Let a function be what these control sequences do."""

    def listed(function: _C) -> _C:
        _COMMANDS.update((name, function) for name in names)
        return function

    return listed


def environment(*names: str) -> Callable[[_E], _E]:
    """Let a function set the environments of these names."""

    def listed(function: _E) -> _E:
        _ENVIRONMENTS.update((name, function) for name in names)
        return function

    return listed


def known() -> frozenset[str]:
    """Control sequences, and beginnings and ends of environments, that a paper cannot redefine."""
    names = {*_COMMANDS, *_SIZES, *_EMS, *_FILLS, *_NOT_FOLLOWED, *_WIDTHS}
    for name in _ENVIRONMENTS:
        names |= {f"\\begin{{{name}}}", f"\\end{{{name}}}"}
    return frozenset(names)


def material(reader: Reader, flow: Flow, style: Style, ends: Ends) -> tuple[str | None, Style]:
    """Set tokens into a flow until one that ends it.

    Returns:
        The token that ended it (None: the last was read), and the style that holds there.

    Raises:
        NotUnderstoodError: Where it cannot be followed; the message is the reason.
    """
    with reader:
        while (token := reader.take()) not in ends:
            if token is None:
                raise NotUnderstoodError("a group or an environment that does not end")
            if token == "{":
                material(reader, flow, style, _GROUP)
            elif token == " ":
                flow.blank(style.size)
            elif token in _EMS:
                flow.add(
                    Space(_EMS[token] * style.size, breaks=token in ("\\ ", "\\space", "\\quad"))
                )
            elif token[0] == "\\":
                style = _obey(token, reader, flow, style)
            elif token not in ("}", "$", "&", "^", "_", "#"):
                reader.count_box()
                flow.write(token, style.size)
    return token, style


def _obey(token: str, reader: Reader, flow: Flow, style: Style) -> Style:
    """Do what a control sequence says; the style that holds after it."""
    if token in _COMMANDS:
        return _COMMANDS[token](reader, flow, style) or style
    if token.startswith("\\begin{"):
        _begin(token[7:-1], reader, flow, style)
    elif token.startswith("\\end{"):
        raise NotUnderstoodError("environments that cross")
    elif token in _SIZES:
        return replace(style, size=_SIZES[token])
    elif token in _FILLS:
        flow.add(Space(0.0, 1.0, token in _WEAK, breaks=True))
    elif token in _WIDTHS or token in style.registers:
        value = reader.inline_length(style)
        return style if value is None else style.with_register(token, value)
    elif token in _NOT_FOLLOWED or token.startswith("\\if"):
        reader.reasons[_NOT_FOLLOWED.get(token, "a condition")] = None
    elif token in UNSEEN:
        reader.at = after_arguments(reader.parts, reader.at, UNSEEN[token])
    elif accent(token):
        flow.write(plain([token, *reader.argument()]), style.size)
    elif shown := symbol(token):
        reader.count_box()
        flow.write(shown, style.size)
    return style


def anchor_of(parts: Sequence[str] | None, default: Anchor = "center") -> Anchor:
    """Where a box stands, as the option in brackets says."""
    names: dict[str, Anchor] = {"t": "top", "c": "center", "b": "bottom", "T": "top", "B": "bottom"}
    return names.get(joined(parts or ())[:1], default)


def _begin(name: str, reader: Reader, flow: Flow, style: Style) -> None:
    if name in _ENVIRONMENTS:
        _ENVIRONMENTS[name](name, reader, flow, style)
        return
    before = reader.graphics
    material(reader, flow, style, frozenset((f"\\end{{{name}}}",)))
    if reader.graphics > before:  # how it places them is not known
        reader.reasons[f"environment {name}"] = None


def lines(
    reader: Reader,
    style: Style,
    *,
    width: float | None = None,
    height: float | None = None,
    anchor: Anchor = "top",
    ends: Ends | None = None,
) -> Lines:
    """A box of its own, of an argument or of all up to what ends it.

    Args:
        reader: Where it begins.
        style: What holds in it.
        width: At which its lines are broken; None: they are not.
        height: None: as its lines need.
        anchor: Where it stands in a line.
        ends: None: it is an argument.

    Raises:
        NotUnderstoodError: As :func:`material`.
    """
    reader.count_box()
    flow = Flow()
    if ends is not None:
        _, style = material(reader, flow, style, ends)
    elif reader.peek() == "{":
        reader.take()
        _, style = material(reader, flow, style, _GROUP)
    else:
        for token in reader.argument():
            if token[0] == "\\":
                with reader:
                    style = _obey(token, reader, flow, style)
            else:
                flow.write(token, style.size)
    return flow.finish(style, width=width, height=height, anchor=anchor)
