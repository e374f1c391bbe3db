"""Which papers, by arXiv's API: page after page, each noted when it is there."""

from __future__ import annotations

import calendar
import datetime
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from vicl.figures.arxiv.harvest.feed import Feed, FeedError, parse_feed
from vicl.figures.arxiv.harvest.manners import AbsentError, Answer, TransientError, Visitor
from vicl.figures.arxiv.identifiers import PaperId
from vicl.figures.arxiv.papers import HarvestError, Paper, parse_paper
from vicl.files import display
from vicl.files.journal import Journal
from vicl.files.plain_json import parse_json

LISTING: Final = "listing.jsonl"
"""The journal of pages, in a harvest's folder."""

PAGE_SIZE: Final = 200
"""Papers that are asked for at once; the API's larger pages come late, or empty."""

MOST_OF_A_QUERY: Final = 30_000
"""Papers of one query beyond which the API gives no pages."""

_LARGEST_PAGE = 1 << 26
_IDS_AT_ONCE = 100
_LOOKS = 3
_CATEGORY = re.compile(r"[a-z]+(?:-[a-z]+)?(?:\.[A-Za-z]{2}|\.[a-z]+(?:-[a-z]+)*)?")


@dataclass(frozen=True)
class Window:
    """A query that is short enough to be paged through.

    Attributes:
        name: For messages.
        search: The API's `search_query`; empty for identifiers.
        ids: The identifiers whose papers are wanted; none for a search.
    """

    name: str
    search: str = ""
    ids: tuple[PaperId, ...] = ()

    @property
    def key(self) -> str:
        """What tells it from others in the journal."""
        return self.search or ",".join(map(str, self.ids))

    def address(self, api: str, start: int) -> str:
        """The address of its page that begins with paper `start`."""
        asked: dict[str, str | int] = {"start": start, "max_results": PAGE_SIZE}
        if self.ids:
            asked["id_list"] = self.key
        else:
            # Sorted by what does not change, so that pages neither overlap nor leave gaps.
            asked |= {"search_query": self.search, "sortBy": "submittedDate"}
            asked["sortOrder"] = "ascending"
        return f"{api}?{urlencode(asked)}"


def by_category(
    categories: Iterable[str], since: datetime.date, until: datetime.date
) -> tuple[Window, ...]:
    """The windows of categories: a month each, since the API gives no more than 30,000 of a query.

    Args:
        categories: arXiv's, such as `cs.CV`; papers of any of them, also of those that name it
            second.
        since: The first day of version 1.
        until: The last one.

    Raises:
        HarvestError: If a category has no such form, or the days are in the wrong order.
    """
    names = tuple(dict.fromkeys(categories))
    for name in names:
        if not _CATEGORY.fullmatch(name):
            raise HarvestError(f"category: got {name[:60]!r}, expected one such as cs.CV")
    if since > until:
        raise HarvestError(f"dates: got {since} to {until}, expected the earlier one first")
    terms = " OR ".join(f"cat:{name}" for name in names)
    windows = []
    first = since
    while first <= until:
        days = calendar.monthrange(first.year, first.month)[1]
        last = min(until, first.replace(day=days))
        span = f"submittedDate:[{first:%Y%m%d}0000 TO {last:%Y%m%d}2359]"
        windows.append(Window(f"{'+'.join(names)} {first:%Y-%m}", f"({terms}) AND {span}"))
        first = last + datetime.timedelta(days=1)
    return tuple(windows)


def by_ids(papers: Iterable[PaperId]) -> tuple[Window, ...]:
    """The windows of a list."""
    ids = tuple(papers)
    starts = range(0, len(ids), _IDS_AT_ONCE)
    return tuple(Window(f"{ids[at]} ...", ids=ids[at : at + _IDS_AT_ONCE]) for at in starts)


def list_papers(
    windows: Iterable[Window],
    out: Path,
    visitor: Visitor,
    api: str,
    *,
    progress: Callable[[int], object] = lambda windows: None,
) -> list[Paper]:
    """Ask for the papers of windows, except for pages that an earlier run had.

    Args:
        windows: In order.
        out: The harvest's folder, where each page is noted.
        visitor: Asks.
        api: The API's address.
        progress: Called with the number of windows that are done since it was called last.

    Returns:
        Each paper once, in the order in which they came.

    Raises:
        HarvestError: If the API does not answer, or a window is too large.
    """
    journal = Journal(out / LISTING, resume=True, durable=True)
    try:
        pages = _read_pages(journal)
        papers: dict[str, Paper] = {}
        for window in windows:
            known = pages.get(window.key, _Pages())
            for page in _missing_pages(window, known, visitor, api):
                journal.append(page)
            for paper in known.papers:
                papers.setdefault(str(paper.id), paper)
            progress(1)
    finally:
        journal.close()
    return list(papers.values())


class _Pages:
    """What is known of a window: its papers so far, how many it has, where the next page begins."""

    def __init__(self) -> None:
        self.papers: list[Paper] = []
        self.total: int | None = None
        self.next = 0

    def add(self, papers: Iterable[Paper], total: int) -> None:
        before = len(self.papers)
        self.papers += papers
        self.total, self.next = total, self.next + len(self.papers) - before


def _read_pages(journal: Journal) -> dict[str, _Pages]:
    pages: dict[str, _Pages] = {}
    for number, line in enumerate(journal.lines, 1):
        name = f"{display(journal.path)}, line {number}"
        try:
            row = parse_json(line)
            papers = [parse_paper(json.dumps(paper).encode(), name) for paper in row["papers"]]
            pages.setdefault(row["window"], _Pages()).add(papers, int(row["total"]))
        except (ValueError, KeyError, TypeError) as error:
            raise HarvestError(f"{name}: is no page of papers; remove the file") from error
    return pages


def _missing_pages(
    window: Window, known: _Pages, visitor: Visitor, api: str
) -> Iterator[dict[str, object]]:
    """Ask for the pages of a window that are not known yet; gives each as a line to note."""
    while known.total is None or known.next < known.total:
        feed = _page(window, known, visitor, api)
        if not window.ids and feed.total > MOST_OF_A_QUERY:
            raise HarvestError(
                f"{window.name}: has {feed.total:,} papers, but the API gives at most "
                f"{MOST_OF_A_QUERY:,} of a month; name fewer categories at once"
            )
        known.add(feed.papers, feed.total)
        rows = [paper.row() for paper in feed.papers]
        yield {"window": window.key, "total": feed.total, "papers": rows}


def _page(window: Window, known: _Pages, visitor: Visitor, api: str) -> Feed:
    """Ask for one page, again where the API gave one that cannot be.

    Now and then it gives an empty page in between, one that is short, or says that there are no
    papers at all.
    """
    looks = 0

    def take(answer: Answer) -> Feed:
        nonlocal looks
        looks += 1
        try:
            feed = parse_feed(answer.read(_LARGEST_PAGE))
        except FeedError as error:
            raise TransientError(str(error), tries=_LOOKS) from error
        # Papers may go while others are asked for, but none that were given already.
        fewer = looks >= _LOOKS and feed.total >= known.next
        total = feed.total if fewer else max(feed.total, known.total or 0)
        lacks = min(PAGE_SIZE, total - known.next) - len(feed.papers)
        if total == 0 and looks == 1:
            raise TransientError("the API says that there are no papers")
        if lacks > 0 and (looks < _LOOKS or not (feed.papers or window.ids)):
            raise TransientError(
                f"the API gave {len(feed.papers)} papers from {known.next} on of {total}"
            )
        # Of identifiers it may not know all; there is no page behind theirs.
        return Feed(len(feed.papers) if window.ids else total, feed.papers)

    try:
        return visitor.ask(window.address(api, known.next), take)
    except AbsentError as error:
        raise HarvestError(f"{display(api)}: {error}; is it the address of an API?") from error
