"""Reading the tokens of one figure: arguments, options, lengths; and what was not understood."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from vicl.figures.arxiv.latex.flow import Style
from vicl.figures.arxiv.latex.plain import closing
from vicl.figures.arxiv.latex.tex import joined

MOST_GRAPHICS: Final = 400
MOST_BOXES: Final = 5000
DEEPEST: Final = 40
"""Groups, environments and boxes within each other."""

_START: Final = re.compile(r"=?([-+]*)(\d{0,9}[.,]?\d{0,9})([a-z]{2})?")


class NotUnderstoodError(Exception):
    """A figure whose text is not followed to its end; the message is the reason."""


class Reader:
    """A place in a figure's tokens.

    Args:
        parts: Expanded tokens.
        candidates: Paths that the name of a picture may mean.

    Attributes:
        captions: Plain texts, of the figure itself.
        labels: Of the figure; those of subfigures apart, in `sublabels`.
        reasons: Why the figure is not understood.
    """

    def __init__(self, parts: Sequence[str], candidates: Callable[[str], tuple[str, ...]]) -> None:
        self.parts = list(parts)
        self.at = 0
        self.candidates = candidates
        self.captions: list[str] = []
        self.labels: list[str] = []
        self.sublabels: list[str] = []
        self.reasons: dict[str, None] = {}
        self.graphics = 0
        self.letters = 0
        self._boxes = 0
        self._depth = 0

    def count_box(self, *, graphic: bool = False) -> None:
        """Note one more box.

        Raises:
            NotUnderstoodError: Where there are too many.
        """
        self._boxes += 1
        self.graphics += graphic
        if self._boxes > MOST_BOXES or self.graphics > MOST_GRAPHICS:
            raise NotUnderstoodError("too many boxes")

    def __enter__(self) -> Reader:
        """One level deeper, until the `with` ends."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise NotUnderstoodError("nested too deeply")
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1

    def take(self) -> str | None:
        """The next token; None at the end."""
        if self.at >= len(self.parts):
            return None
        self.at += 1
        return self.parts[self.at - 1]

    def peek(self) -> str | None:
        """The next token that is no blank, not taken; blanks before an argument are passed."""
        at = self._after_blanks(self.at)
        if at >= len(self.parts):
            return None
        if self.parts[at] in ("{", "[", "*"):
            self.at = at
        return self.parts[at]

    def star(self) -> bool:
        """Pass an asterisk."""
        if self.peek() != "*":
            return False
        self.at += 1
        return True

    def argument(self) -> Sequence[str]:
        """The next argument; one token where it has no braces.

        Raises:
            NotUnderstoodError: Where its braces do not close.
        """
        if self.peek() == "{":
            end = closing(self.parts, self.at)
            if end is None:
                raise NotUnderstoodError("braces that do not close")
            found, self.at = self.parts[self.at + 1 : end], end + 1
            return found
        while (token := self.take()) == " ":
            pass
        return [] if token is None else [token]

    def option(self) -> Sequence[str] | None:
        """The next argument in brackets; None where there is none.

        Raises:
            NotUnderstoodError: Where its brackets do not close.
        """
        if self.peek() != "[":
            return None
        end = closing(self.parts, self.at)
        if end is None:
            raise NotUnderstoodError("brackets that do not close")
        found, self.at = self.parts[self.at + 1 : end], end + 1
        return found

    def length(self, style: Style) -> float:
        """An argument that is a length, in points; 0 with a reason where it cannot be read."""
        return self.read_length(self.argument(), style)

    def read_length(self, parts: Sequence[str], style: Style) -> float:
        """Likewise of tokens that were taken."""
        found = style.length(joined(parts))
        if found is None:
            self.reasons["a length that cannot be read"] = None
            return 0.0
        return found

    def inline_length(self, style: Style) -> float | None:
        r"""A length without braces, as after `\kern`; None, and nothing taken, where none is."""
        at = self._after_blanks(self.at)
        token = self.parts[at] if at < len(self.parts) else ""
        if token == "=":
            at = self._after_blanks(at + 1)
            token = self.parts[at] if at < len(self.parts) else ""
        text, rest = token, ""
        if token[:1] != "\\":
            match = _START.match(token)
            if match is None or not match[1] + match[2]:
                return None
            text = match[1] + match[2]
            if match[3] is None and match.end() == len(token):  # the unit is a token of its own
                at = self._after_blanks(at + 1)
                token = self.parts[at] if at < len(self.parts) else ""
                used = len(token) if token[:1] == "\\" else 2
                text, rest = text + token[:used], token[used:]
            else:
                text, rest = text + (match[3] or ""), token[match.end() :]
        value = style.length(text)
        if value is None:
            return None
        if rest:
            self.parts[at] = rest
        self.at = at if rest else at + 1
        self._pass_glue()
        if not rest:  # a blank ends the unit
            self.pass_blank()
        return value

    def pass_blank(self) -> None:
        """Pass a blank that comes next."""
        if self.at < len(self.parts) and self.parts[self.at] == " ":
            self.at += 1

    def _after_blanks(self, at: int) -> int:
        while at < len(self.parts) and self.parts[at] == " ":
            at += 1
        return at

    def _pass_glue(self) -> None:
        """Pass what may stretch and shrink: `plus 1fil minus 2pt`."""
        for _ in range(2):
            at = self._after_blanks(self.at)
            if at >= len(self.parts) or self.parts[at] not in ("plus", "minus"):
                return
            self.at = self._after_blanks(at + 1) + 1
