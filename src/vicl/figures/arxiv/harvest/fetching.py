"""Fetching the sources of a harvest's papers, one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from vicl.figures.arxiv.harvest.harvesting import Harvest
from vicl.figures.arxiv.harvest.manners import (
    AbsentError,
    Answer,
    TransientError,
    UnreachableError,
    Visitor,
)
from vicl.figures.arxiv.harvest.sources import CutError, WebPageError, store, stored
from vicl.figures.arxiv.papers import HarvestError, Paper

ARXIV_SOURCES: Final = "https://export.arxiv.org/e-print"
"""Of arXiv's addresses of sources the one that sends what was submitted as PDF as PDF."""

_IN_A_ROW: Final = 5
"""Failures in a row after which a run ends: then it is not the papers."""

_GONE_AT_FIRST: Final = 20
"""Papers that are all missing, before any other answer, after which a run ends: then it is not the
papers, whose being missing is final, but the address."""

_CUT_TRIES: Final = 3
"""Tries for a source whose compression ends early although all its bytes came."""


def fetch(
    harvest: Harvest, targets: Iterable[Paper], visitor: Visitor, address: str = ARXIV_SOURCES
) -> Iterator[Paper]:
    """Fetch the sources of papers that are not done.

    Args:
        harvest: Where they are stored.
        targets: Of :func:`list_targets`.
        visitor: Asks.
        address: Of the sources, without the identifier that comes behind it.

    Returns:
        What became of each of them, in order, as it is noted.

    Raises:
        HarvestError: If the service refuses, several in a row fail, or the address has none.
    """
    failures, answered = 0, False
    gone: list[Paper] = []
    for target in targets:
        if harvest.is_done(target.id):
            continue
        before = visitor.requests
        paper = _fetched(harvest, target, visitor, address)
        if paper.status == "missing" and not answered:
            failures = 0
            gone.append(paper)  # noted once the address is known to have sources
            if len(gone) == _GONE_AT_FIRST:
                raise HarvestError(
                    f"{address}: has none of the first {len(gone)} papers ({gone[-1].reason}); "
                    "check the address of the sources (command line: --sources); if the papers are "
                    "gone indeed, take them out of the list"
                )
            continue
        asked = visitor.requests > before
        if answered := answered or (asked and paper.status not in ("failed", "withdrawn")):
            yield from map(harvest.note, gone)
            gone.clear()
        yield harvest.note(paper)
        failures = failures + 1 if paper.status == "failed" else 0
        if failures == _IN_A_ROW:
            raise HarvestError(
                f"{failures} papers in a row failed, the last one with: {paper.reason}; start "
                "again later, to go on"
            )
    for paper in gone:
        reason = f"{paper.reason}; {address} had no source at all: is it the right address?"
        yield harvest.note(replace(paper, status="failed", reason=reason))


def _fetched(harvest: Harvest, target: Paper, visitor: Visitor, address: str) -> Paper:
    """A paper with its source, or with why there is none."""
    if target.status == "withdrawn":
        return replace(target, sha256=None)
    with contextlib.suppress(CutError, WebPageError):
        if (found := stored(harvest.out, target, most=harvest.most)) is not None:
            return found
    cut = 0

    def take(answer: Answer) -> Paper:
        nonlocal cut
        if answer.media_type == "application/pdf":
            return replace(target, status="pdf-only", reason="was submitted as PDF", sha256=None)
        if answer.length is not None and answer.length > harvest.most:
            reason = f"has {answer.length >> 20} MiB, more than {harvest.most >> 20}"
            return replace(target, status="too-large", reason=reason, sha256=None)
        try:
            return store(answer.chunks(), harvest.out, target, most=harvest.most)
        except CutError as error:
            cut += 1
            if cut == _CUT_TRIES:
                return replace(target, status="broken", reason=str(error), sha256=None)
            raise TransientError(str(error)) from error
        except WebPageError as error:
            raise TransientError(str(error), tries=1) from error

    try:
        return visitor.ask(f"{address.rstrip('/')}/{target.id}", take)
    except AbsentError as error:
        return replace(target, status="missing", reason=str(error), sha256=None)
    except UnreachableError as error:
        return replace(target, status="failed", reason=str(error), sha256=None)
