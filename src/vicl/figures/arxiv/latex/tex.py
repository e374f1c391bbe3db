"""A TeX text as a stream of tokens, in one pass over it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

# Every alternative begins with characters that no other begins with, but for control words that
# are spelled out before the general ones, and none repeats a repetition: matching is linear.
_TOKEN: Final = re.compile(
    r"\\(?:begin|end)[ \t]*\{[^{}\\\s#]{1,64}\}"
    r"|\\[A-Za-z@]+"
    r"|\\[\s\S]"
    r"|%[^\n]*\n?[ \t]*"
    r"|\s+"
    r"|[{}\[\]&#~$^_*]"
    r"|[^\\%\s{}\[\]&#~$^_*]+"
)

_VERBATIM: Final = frozenset(
    name + star
    for name in (
        "verbatim", "Verbatim", "lstlisting", "minted", "comment", "filecontents", "alltt",
        "BVerbatim", "tcblisting",
    )
    for star in ("", "*")
)  # fmt: skip

_VERB: Final = 1000
"""Characters in which the end of a `\\verb` is looked for: to the line's end would be quadratic."""

_WORD_END: Final = re.compile(r"\\[A-Za-z@]+\Z")


def tokens(text: str) -> Iterator[str]:
    r"""Split a text as TeX does, without what it does not read.

    A token is a control sequence (`\foo`, `\%`), `\begin{name}` or `\end{name}` as a whole,
    `\par` for an empty line, one blank for other white space, one of `{}[]&#~$^_*`, or a run of
    other characters.  Comments, verbatim environments and `\verb` are left out, and blanks after
    control words, as TeX leaves them out.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    at = 0
    after_word = after_comment = False
    while match := _TOKEN.match(text, at):
        token, at = match.group(), match.end()
        first = token[0]
        if first == "%":
            # The comment took the end of its line with it.
            after_comment = token.find("\n") >= 0
            continue
        if first.isspace():
            breaks = token.count("\n") + after_comment
            if breaks > 1:
                yield "\\par"
            elif not (after_word or after_comment):
                yield " "
            after_word = after_comment = False
            continue
        after_comment = False
        after_word = first == "\\" and (token[1].isalpha() or token[1] == "@")
        if token.startswith(("\\begin", "\\end")) and token.endswith("}"):
            token = token[: token.index("{")].rstrip() + token[token.index("{") :]
            after_word = False
            name = token[7:-1]
            if token.startswith("\\begin") and name in _VERBATIM:
                end = text.find(f"\\end{{{name}}}", at)
                at = len(text) if end < 0 else end + len(name) + 6
                continue
        elif token in ("\\verb", "\\lstinline"):
            at = _after_verb(text, at)
            after_word = False
            continue
        yield "\\ " if first == "\\" and token[1].isspace() else token


def _after_verb(text: str, at: int) -> int:
    r"""Where the argument of `\verb` ends: at its delimiter's next place, or its line's end."""
    if text[at : at + 1] == "*":
        at += 1
    closing = text[at : at + 1].replace("{", "}")
    line = text.find("\n", at, at + _VERB)
    line = min(len(text), at + _VERB) if line < 0 else line
    end = text.find(closing, at + 1, line) if closing else -1
    return line if end < 0 else end + 1


def joined(parts: Iterable[str], *, name: bool = False) -> str:
    """Put tokens together again.

    Args:
        parts: Tokens.
        name: Whether they are a file's name, in which TeX keeps no braces nor quotes.
    """
    if name:
        kept = (part.removeprefix("\\") if part == "\\_" else part for part in parts)
        return "".join(part for part in kept if part not in ("{", "}")).strip().strip('"').strip()
    return "".join(part + " " if _WORD_END.match(part) else part for part in parts).strip()
