"""arXiv's Atom feeds: papers with what is known of them.

See https://info.arxiv.org/help/api/user-manual.html; why the `arxiv` library does not read them,
:mod:`vicl.figures.arxiv.harvest.manners`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vicl.figures.arxiv.identifiers import PaperId
from vicl.figures.arxiv.papers import HarvestError, Paper
from vicl.files.plain_xml import parse_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_WITHDRAWN: Final = re.compile(
    r"^\W*withdrawn\b(?! from)|\b(?:been|is|was) withdrawn\b(?! from)|\bwithdrawn by\b"
    r"|\bauthors? (?:have |has )?(?:withdrew|withdraws?|withdrawn)\b",
    re.IGNORECASE,
)
"""How comments say that a paper was withdrawn; the feed has no other mark of it."""


class FeedError(HarvestError):
    """A feed that is none, is cut, or tells of an error."""


@dataclass(frozen=True)
class Feed:
    """A page of papers.

    Attributes:
        total: Papers that the whole query has, by the service's count.
        papers: Those of this page, `listed` or `withdrawn`, in its order.
    """

    total: int
    papers: tuple[Paper, ...]


def parse_feed(data: bytes) -> Feed:
    """Read a page.

    Args:
        data: Atom; the caller has bounded it.

    Raises:
        FeedError: If it is none, or an error stands in it.
    """
    root = parse_xml(data, "the API's answer", "feed", FeedError)
    if _local(root) != "feed":
        raise FeedError(f"the API's answer: is <{_local(root)[:60]}>, expected <feed>")
    entries = [child for child in root if _local(child) == "entry"]
    for entry in entries:
        if "/api/errors" in _text(entry, "id") or _text(entry, "title") == "Error":
            raise FeedError(f"the API says: {_text(entry, 'summary')[:200] or 'an error'}")
    total = _text(root, "totalResults")
    if not re.fullmatch(r"[0-9]{1,12}", total):
        raise FeedError("the API's answer: does not say how many papers there are in all")
    return Feed(int(total), tuple(map(_paper, entries)))


def _paper(entry: Element) -> Paper:
    try:
        paper = PaperId.parse(_text(entry, "id"))
    except ValueError as error:
        raise FeedError(f"the API's answer: {error}") from error
    comment, licence = _text(entry, "comment"), None
    primary: list[str] = []
    categories: list[str] = []
    for child in entry:
        if _local(child) in ("category", "primary_category") and (term := child.get("term")):
            (categories if _local(child) == "category" else primary).append(term)
        if _local(child) == "link" and child.get("rel") == "license":
            licence = child.get("href")
    withdrawn = bool(_WITHDRAWN.search(comment))
    return Paper(
        paper.number,
        paper.version,
        status="withdrawn" if withdrawn else "listed",
        reason=comment[:300] if withdrawn else "",
        title=_text(entry, "title") or None,
        categories=tuple(dict.fromkeys([*primary, *categories])),
        published=_text(entry, "published")[:10] or None,
        licence=licence or _text(entry, "license") or _text(entry, "rights") or None,
    )


def _local(element: Element) -> str:
    """An element's name without prefix."""
    return element.tag.rpartition(":")[2]


def _text(element: Element, name: str) -> str:
    """The text of a child, in one line; empty if there is none."""
    found = next((child for child in element if _local(child) == name), None)
    return "" if found is None else " ".join((found.text or "").split())
