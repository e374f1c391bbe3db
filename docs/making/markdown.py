"""Markdown as far as the checks need it: blocks of code, code between words, links, anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^( *)(`{3,}|~{3,})[ ]*([\w+-]*)[^\n]*\n(.*?)^\1\2[ ]*$", re.M | re.S)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.S)
_LINK = re.compile(r"(\]\()(<?)([^()\s<>]+(?:\([^()\s]*\)[^()\s<>]*)*)(>?)((?: \"[^\"]*\")?\))")
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)?$", re.M)
_SHELLS = ("", "sh", "bash", "shell", "console")


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        language: As it stands behind the fence; "" if nothing does.
        code: What is between the fences.
        line: Where its first line is in the page, from 1.
    """

    language: str
    code: str
    line: int

    @property
    def shell(self) -> bool:
        """Whether it may hold commands."""
        return self.language in _SHELLS


@dataclass(frozen=True)
class Link:
    """A link or a picture.

    Attributes:
        target: Address or path, with its anchor.
        line: Where it stands in the page, from 1.
    """

    target: str
    line: int

    @property
    def outside(self) -> bool:
        """Whether it leads to another host, or to none."""
        return re.match(r"[a-z][a-z+.-]*:", self.target, re.I) is not None

    @property
    def path(self) -> str:
        """The target without its anchor; "" within the page."""
        return self.target.partition("#")[0]

    @property
    def anchor(self) -> str:
        """The anchor; "" if there is none."""
        return self.target.partition("#")[2]


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    return [
        Block(found[3], found[4], text.count("\n", 0, found.start()) + 2)
        for found in _FENCE.finditer(text)
    ]


def spans(text: str) -> Iterator[tuple[str, int]]:
    """Code between words: what it says, and its line, from 1."""
    prose = _without_blocks(text)
    for found in _SPAN.finditer(prose):
        yield " ".join(found[2].split()), prose.count("\n", 0, found.start()) + 1


def links(text: str) -> list[Link]:
    """All links and pictures of a page, in order; none in code."""
    prose = _without_code(text)
    return [
        Link(found[3], prose.count("\n", 0, found.start()) + 1) for found in _LINK.finditer(prose)
    ]


def relinked(text: str, moved: dict[str, str]) -> str:
    """A page whose links to a target lead to another; code stays as it is."""
    prose = _without_code(text)  # of the same length
    parts, at = [], 0
    for found in _LINK.finditer(prose):
        parts += [text[at : found.start(3)], moved.get(found[3], found[3])]
        at = found.end(3)
    return "".join((*parts, text[at:]))


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    found: dict[str, int] = {}
    named = set()
    for heading in _HEADING.finditer(_without_blocks(text)):
        name = slug(re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]))
        count = found.get(name, 0)
        found[name] = count + 1
        # The second of a name has a suffix that differs between the two, so nothing may lead there.
        if count == 0:
            named.add(name)
    return named


def slug(heading: str) -> str:
    """The anchor of a heading, without its links, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])


def _without_blocks(text: str) -> str:
    return _FENCE.sub(_blank, text)


def _without_code(text: str) -> str:
    return _SPAN.sub(_blank, _without_blocks(text))
