"""The tokens that a paper's texts become once its files and its own macros are followed.

A small part of what TeX does: macros with undelimited arguments, files, and conditions that are
known without a computation.  It is bounded, since a macro may call itself, or double without end.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from vicl.figures.arxiv.latex.tex import joined, tokens

MOST_TOKENS: Final = 1_000_000
"""Tokens of a paper that are read, with those that macros put in place of others."""

_DEEPEST_FILES: Final = 20
_DEEPEST_MACROS: Final = 100
_MOST_GROUP: Final = 50_000
_MOST_OPTION: Final = 1000

_NO_CONDITION: Final = frozenset(("\\iff", "\\ifthenelse", "\\ifblank", "\\ifstrempty"))
"""They begin as a condition does, and no `\\fi` ends them."""

_DEFINE: Final = frozenset(("\\def", "\\gdef", "\\edef", "\\xdef"))
_COMMAND: Final = frozenset(
    ("\\newcommand", "\\renewcommand", "\\providecommand", "\\DeclareRobustCommand")
)
_ENVIRONMENT: Final = frozenset(("\\newenvironment", "\\renewenvironment"))
_FILE: Final = frozenset(("\\input", "\\include", "\\subfile", "\\InputIfFileExists"))
_IMPORT: Final = frozenset(("\\import", "\\subimport", "\\inputfrom", "\\subinputfrom"))
_PACKAGE: Final = frozenset(("\\usepackage", "\\RequirePackage"))
_NOTHING: Final = frozenset(
    (
        "\\long", "\\global", "\\protect", "\\xspace", "\\expandafter", "\\noexpand",
        "\\unexpanded", "\\makeatletter", "\\makeatother", "\\leavevmode", "\\ensuremath",
    )
)  # fmt: skip
PASSED_ON: Final = frozenset(("\\arraystretch", "\\tabcolsep", "\\baselinestretch"))
"""Redefining one sets a value: it is passed on with its new text as a group."""


class TooMuchTexError(Exception):
    """A paper asks for more work than one may."""


@dataclass(frozen=True)
class Macro:
    """What a control sequence stands for.

    Attributes:
        body: Tokens, and numbers (from 1) of arguments.
        parameters: How many arguments it takes.
        default: The first argument where none is given in brackets; None: it takes no brackets.
    """

    body: tuple[str | int, ...]
    parameters: int = 0
    default: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Source:
    """Where tokens come from: a file with its path and the folder that its import named, or none.

    `depth` counts the macros that lead here.
    """

    stream: Iterator[str]
    path: str = ""
    folder: str = ""
    depth: int = 0


class Expander:
    """Reads a paper from its main file on, with what it includes.

    Args:
        texts: All texts of the source, by path.
        main: Path of the one to begin with.
        kept: Control sequences that a paper cannot redefine, since their sense is known.
        most: Tokens to read before :class:`TooMuchTexError`.

    Attributes:
        packages: Names that were used, with the class's.
        visited: Paths of texts that were read.
        spent: Tokens read so far.
    """

    def __init__(
        self,
        texts: Mapping[str, str],
        main: str,
        *,
        kept: frozenset[str] = frozenset(),
        most: int = MOST_TOKENS,
    ) -> None:
        self._texts = texts
        self._folder = posixpath.dirname(main)
        self._kept = kept
        self._most = most
        self._macros: dict[str, Macro] = {}
        self._aliases: dict[str, str] = {}
        self._flags: dict[str, bool] = {}
        self._conditions: list[bool] = []
        self._sources: list[_Source] = []
        self._depth = 0  # of the token that was read last
        self._naming = False
        self.packages: set[str] = set()
        self.visited: set[str] = set()
        self.spent = 0
        self._open(main, "")

    def __iter__(self) -> Iterator[str]:
        """Expanded tokens, to the document's end."""
        while (token := self.next()) is not None:
            yield token

    @property
    def folders(self) -> tuple[str, ...]:
        r"""Where files are looked for: as `\import` said, beside the main text, at the top."""
        imported = [source.folder for source in reversed(self._sources) if source.folder]
        return tuple(dict.fromkeys((*imported[:4], self._folder, "")))

    def next(self) -> str | None:
        """The next token that is no macro; None at the end.

        Raises:
            TooMuchTexError: Where `most` tokens are spent.
        """
        while (token := self._raw()) is not None:
            if token[0] != "\\":
                return token
            macro = self._macros.get(token)
            if token in self._aliases:
                return self._aliases[token]
            if macro is not None:
                self._expand(macro)
            elif not self._obey(token):
                return token
        return None

    def push(self, parts: Iterable[str]) -> None:
        """Put tokens before what comes next."""
        self._sources.append(_Source(iter(tuple(parts)), depth=self._depth))

    def group(self) -> list[str]:
        """The next argument, unexpanded: what is in braces, or one token or character."""
        token = self._raw()
        while token == " ":
            token = self._raw()
        if token is None:
            return []
        if token != "{":
            if token[0] != "\\" and len(token) > 1:
                self.push((token[1:],))
            return [token if token[0] == "\\" else token[0]]
        depth, found = 1, []
        while (token := self._raw()) is not None:
            depth += (token == "{") - (token == "}")
            if depth == 0:
                break
            found.append(token)
            if len(found) > _MOST_GROUP:
                raise TooMuchTexError(f"an argument of over {_MOST_GROUP} tokens")
        return found

    def option(self) -> list[str] | None:
        """The next argument in brackets, unexpanded; None, with nothing read, where none is."""
        token = self._raw()
        while token == " ":
            token = self._raw()
        if token != "[":
            if token is not None:
                self.push((token,))
            return None
        depth, found = 0, list[str]()
        while (token := self._raw()) is not None:
            if token == "]" and depth == 0:
                return found
            depth += (token == "{") - (token == "}")
            found.append(token)
            if len(found) > _MOST_OPTION or depth < 0:
                break
        self.push(["[", *found])
        return None

    def expanded(self, parts: Iterable[str]) -> list[str]:
        """Expand tokens by themselves: a file's name, a length."""
        self.push((*parts, _END))
        found: list[str] = []
        self._naming, before = True, self._naming
        while (token := self.next()) not in (None, _END):
            found.append(str(token))
        self._naming = before
        return found

    def _raw(self) -> str | None:
        while self._sources:
            token = next(self._sources[-1].stream, None)
            if token is not None:
                self._depth = self._sources[-1].depth
                self.spent += 1
                if self.spent > self._most:
                    raise TooMuchTexError(f"over {self._most} tokens")
                return token
            self._sources.pop()
        return None

    def _expand(self, macro: Macro) -> None:
        depth = self._depth + 1
        arguments: list[list[str]] = []
        if macro.default is not None:
            given = self.option()
            arguments.append(list(macro.default) if given is None else given)
        while len(arguments) < macro.parameters:
            arguments.append(self.group())
        body: list[str] = []
        for part in macro.body:
            if isinstance(part, str):
                body.append(part)
            elif part <= len(arguments):
                body.extend(arguments[part - 1])
            if len(body) > _MOST_GROUP:
                raise TooMuchTexError(f"a macro of over {_MOST_GROUP} tokens")
        if depth <= _DEEPEST_MACROS:  # else it calls itself without end, and stands for nothing
            self._sources.append(_Source(iter(body), depth=depth))

    def _obey(self, token: str) -> bool:
        """Do what a control sequence says; False where it is not one to be obeyed here."""
        if token in _NOTHING:
            pass
        elif token in _DEFINE:
            self._define()
        elif token in _COMMAND:
            self._command()
        elif token in _ENVIRONMENT:
            self._environment()
        elif token == "\\let":
            self._let()
        elif token in _FILE or token in _IMPORT:
            if self._naming:  # a file's name in a file's name
                return False
            self._include(token)
        elif token in _PACKAGE:
            self._use_package()
        elif token in ("\\endinput", "\\end{document}"):
            self._end_file()
        else:
            return self._decide(token)
        return True

    def _decide(self, token: str) -> bool:
        """Follow the conditions that are known; others are passed on, with both branches."""
        if token == "\\newif":
            name = self._raw() or ""
            if name.startswith("\\if"):
                self._flags[name] = False
        elif token in ("\\iftrue", "\\iffalse") or token in self._flags:
            if token == "\\iftrue" or self._flags.get(token, False) or self._skip() == "\\else":
                self._conditions.append(True)
        elif token.endswith(("true", "false")) and self._switch(token):
            pass
        elif token == "\\else":
            if self._conditions and self._conditions[-1]:
                self._conditions.pop()
                self._skip()
        elif token == "\\fi":
            if self._conditions:
                self._conditions.pop()
        elif token.startswith("\\if") and token not in _NO_CONDITION:
            self._conditions.append(False)
            return False
        else:
            return False
        return True

    def _switch(self, token: str) -> bool:
        value = token.endswith("true")
        name = "\\if" + token[1:].removesuffix("true" if value else "false")
        if name not in self._flags:
            return False
        self._flags[name] = value
        return True

    def _skip(self) -> str:
        r"""Read to the `\else` or `\fi` of the condition that was just read."""
        depth = 0
        while (token := self._raw()) is not None:
            if token == "\\fi":
                if depth == 0:
                    return token
                depth -= 1
            elif token == "\\else" and depth == 0:
                return token
            elif token.startswith("\\if") and token not in _NO_CONDITION:
                depth += token not in self._macros
        return ""

    def _name(self) -> str:
        """The control sequence that is about to be defined, with or without braces."""
        found = [part for part in self.group() if part not in (" ", "*")]
        return found[0] if len(found) == 1 and found[0][0] == "\\" else ""

    def _set(self, name: str, macro: Macro) -> None:
        if name in PASSED_ON:
            self.push((name, "{", *(part for part in macro.body if isinstance(part, str)), "}"))
        elif name and name not in self._kept:
            self._macros[name] = macro
            self._aliases.pop(name, None)

    def _define(self) -> None:
        name = self._raw() or ""
        parameters, simple, previous = 0, True, ""
        while (token := self._raw()) is not None and token != "{":
            if token.isdigit() and previous == "#":
                parameters = int(token[0])
            elif token not in ("#", " "):
                simple = False
            previous = token
        if token is not None:
            self.push(("{",))
        body = self.group()
        if simple and name.startswith("\\"):
            self._set(name, Macro(_body(body), parameters))

    def _star(self) -> None:
        token = self._raw()
        if token is not None and token != "*":
            self.push((token,))

    def _command(self) -> None:
        self._star()
        name = self._name()
        count = joined(self.option() or ())
        default = self.option()
        body = self.group()
        parameters = int(count) if count in tuple("123456789") else 0
        self._set(name, Macro(_body(body), parameters, None if default is None else tuple(default)))

    def _environment(self) -> None:
        self._star()
        name = joined(self.group())
        count = joined(self.option() or ())
        default = self.option()
        begin, end = self.group(), self.group()
        parameters = int(count) if count in tuple("123456789") else 0
        first = None if default is None else tuple(default)
        self._set(f"\\begin{{{name}}}", Macro(_body(begin), parameters, first))
        self._set(f"\\end{{{name}}}", Macro(_body(end)))

    def _let(self) -> None:
        name, token = self._raw() or "", self._raw()
        while token in (" ", "="):
            token = self._raw()
        if token is None or not name.startswith("\\") or name in self._kept:
            return
        if token in self._macros:
            self._macros[name] = self._macros[token]
            self._aliases.pop(name, None)
        else:  # what it means now, whatever is made of it later
            self._aliases[name] = self._aliases.get(token, token)

    def _include(self, token: str) -> None:
        folder = ""
        if token in _IMPORT:
            folder = joined(self.expanded(self.group()), name=True)
        first = self._raw()
        while first == " ":
            first = self._raw()
        if first == "{":
            self.push(("{",))
            name = joined(self.expanded(self.group()), name=True)
        else:  # plain TeX's way: to the next blank
            parts = []
            while first is not None and first not in (" ", "\\par") and first[0] != "\\":
                parts.append(first)
                first = self._raw()
            if first is not None:
                self.push((first,))
            name = joined(parts, name=True)
        if folder.startswith("/") or not name:
            return
        for base in self.folders:
            for suffix in (".tex", ""):
                path = posixpath.normpath(posixpath.join(base, folder, name + suffix))
                if path in self._texts:
                    folder = posixpath.normpath(posixpath.join(base, folder)) if folder else ""
                    if token == "\\subfile":
                        folder = posixpath.dirname(path)
                    self._open(path, folder)
                    return

    def _open(self, path: str, folder: str) -> None:
        opened = [source.path for source in self._sources if source.path]
        if path in opened or len(opened) >= _DEEPEST_FILES:
            return
        self.visited.add(path)
        folder = "" if folder == "." else folder
        self._sources.append(_Source(tokens(self._texts[path]), path, folder))

    def _use_package(self) -> None:
        self.option()
        names = [name.strip() for name in joined(self.group()).split(",")[:100]]
        self.packages.update(names)
        for name in reversed(names):
            for base in self.folders:
                path = posixpath.join(base, f"{name}.sty")
                if path in self._texts:
                    self._open(path, "")
                    break

    def _end_file(self) -> None:
        while self._sources:
            if self._sources.pop().path:
                break


_END: Final = "\\relax end of a name"
"""A token that no text has, by its blanks."""


def _body(parts: list[str]) -> tuple[str | int, ...]:
    """A macro's text with numbers for its arguments."""
    body: list[str | int] = []
    rest = iter(parts)
    for part in rest:
        if part != "#":
            body.append(part)
            continue
        after = next(rest, "")
        if after[:1] in tuple("123456789"):
            body.append(int(after[0]))
            if after[1:]:
                body.append(after[1:])
        elif after:
            body.append(after)
    return tuple(body)
