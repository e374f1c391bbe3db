"""Paging through arXiv's API."""

from __future__ import annotations

import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.figures.arxiv.serving import EMPTY, ArXiv, Fault, Served, atom

from vicl.figures.arxiv.harvest import listing
from vicl.figures.arxiv.harvest.listing import LISTING, Window, by_category, by_ids, list_papers
from vicl.figures.arxiv.harvest.manners import Manners, UnreachableError, Visitor
from vicl.figures.arxiv.identifiers import PaperId
from vicl.figures.arxiv.papers import HarvestError


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def asked(arxiv: ArXiv, windows: tuple[Window, ...], out: Path) -> list[str]:
    visitor = Visitor(Manners(), arxiv.clock.clock)
    return [str(paper.id) for paper in list_papers(windows, out, visitor, arxiv.api)]


def starts(arxiv: ArXiv) -> list[int]:
    return [int(parse_qs(urlsplit(path).query)["start"][0]) for path, _ in arxiv.asked]


@pytest.fixture
def windows(arxiv: ArXiv, monkeypatch: pytest.MonkeyPatch) -> tuple[Window, ...]:
    """Five papers of September, one of October; three a page."""
    monkeypatch.setattr(listing, "PAGE_SIZE", 3)
    arxiv.papers = [Served(f"2209.0000{i}v1", b"", day="2022-09-30") for i in range(5)]
    arxiv.papers += [Served("2210.00001v2", b"", day="2022-10-01")]
    arxiv.papers += [Served("2210.00002v1", b"", day="2022-10-01", categories=("cs.LG",))]
    return by_category(["cs.CV"], day("2022-09-01"), day("2022-10-31"))


ALL = [*(f"2209.0000{i}v1" for i in range(5)), "2210.00001v2"]


def test_windows_are_months() -> None:
    windows = by_category(["cs.CV", "cond-mat.mes-hall"], day("2019-12-30"), day("2020-02-03"))
    assert [window.search.split(" AND ")[1] for window in windows] == [
        "submittedDate:[201912300000 TO 201912312359]",
        "submittedDate:[202001010000 TO 202001312359]",
        "submittedDate:[202002010000 TO 202002032359]",
    ]
    assert windows[0].search.startswith("(cat:cs.CV OR cat:cond-mat.mes-hall) AND ")
    with pytest.raises(HarvestError, match="the earlier one first"):
        by_category(["cs.CV"], day("2020-01-02"), day("2020-01-01"))
    for name in ("cs.CV OR all:x", "CS.CV", ""):
        with pytest.raises(HarvestError, match=r"expected one such as cs.CV"):
            by_category([name], day("2020-01-01"), day("2020-01-02"))


def test_pages(arxiv: ArXiv, windows: tuple[Window, ...], tmp_path: Path) -> None:
    assert asked(arxiv, windows, tmp_path) == ALL
    assert starts(arxiv) == [0, 3, 0]
    assert asked(arxiv, windows, tmp_path) == ALL
    assert len(arxiv.asked) == 3


@pytest.mark.parametrize(
    "fault",
    [
        Fault(body=EMPTY),
        Fault(body=atom([], 5)),
        Fault(cut=300),
        Fault(body=b"<html>busy</html>"),
        Fault(503, (("Retry-After", "9"),)),
        Fault(drop=10),
    ],
    ids=["none in all", "none", "cut", "html", "503", "dropped"],
)
def test_pages_that_cannot_be(
    arxiv: ArXiv, windows: tuple[Window, ...], tmp_path: Path, fault: Fault
) -> None:
    for start in (0, 3):
        arxiv.faults[f"start={start}&"] = [fault]
    assert asked(arxiv, windows, tmp_path) == ALL
    assert starts(arxiv) == [0, 0, 3, 3, 0]


def test_a_short_page_is_taken_in_the_end(
    arxiv: ArXiv, windows: tuple[Window, ...], tmp_path: Path
) -> None:
    arxiv.faults["start=0&"] = [Fault(body=atom(arxiv.papers[:1], 5))] * 3
    assert asked(arxiv, windows, tmp_path) == ALL
    assert starts(arxiv) == [0, 0, 0, 1, 4, 0]


def test_an_empty_page_that_stays(
    arxiv: ArXiv, windows: tuple[Window, ...], tmp_path: Path
) -> None:
    arxiv.faults["start=3&"] = [Fault(body=EMPTY)] * 8
    with pytest.raises(UnreachableError, match="the API gave 0 papers from 3 on of 5, 8 times"):
        asked(arxiv, windows, tmp_path)
    assert asked(arxiv, windows, tmp_path) == ALL
    assert starts(arxiv) == [0, *[3] * 8, 3, 0]


def test_a_month_without_papers_is_asked_for_twice(arxiv: ArXiv, tmp_path: Path) -> None:
    windows = by_category(["cs.CV"], day("2022-09-01"), day("2022-09-30"))
    assert asked(arxiv, windows, tmp_path) == []
    assert len(arxiv.asked) == 2


def test_a_paper_that_went_meanwhile(
    arxiv: ArXiv, windows: tuple[Window, ...], tmp_path: Path
) -> None:
    arxiv.faults["start=3&"] = [Fault(body=atom(arxiv.papers[3:4], 4))] * 3
    assert asked(arxiv, windows, tmp_path) == [*ALL[:4], ALL[5]]


def test_too_many_papers_in_a_month(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.faults["start=0"] = [Fault(body=atom([Served("2209.00001v1", b"")], 30_001))] * 3
    with pytest.raises(HarvestError, match=r"2022-09: has 30,001 papers"):
        asked(arxiv, by_category(["cs.CV"], day("2022-09-01"), day("2022-09-02")), tmp_path)


def test_identifiers(arxiv: ArXiv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_IDS_AT_ONCE", 4)
    arxiv.papers = [Served(f"2209.0000{i}v2", b"", known=i != 5) for i in range(6)]
    windows = by_ids([PaperId(f"2209.0000{i}") for i in range(7)])
    for _ in range(2):
        assert asked(arxiv, windows, tmp_path) == [f"2209.0000{i}v2" for i in range(5)]
    assert len(arxiv.asked) == 2


def test_an_address_that_is_no_api(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.faults["query"] = [Fault(404)]
    with pytest.raises(HarvestError, match="is it the address of an API"):
        asked(arxiv, by_ids([PaperId("2209.00001")]), tmp_path)


def test_a_spoilt_journal(arxiv: ArXiv, tmp_path: Path) -> None:
    (tmp_path / LISTING).write_text('{"window": 3}\n')
    with pytest.raises(HarvestError, match=r"listing.jsonl, line 1: is no page of papers"):
        asked(arxiv, by_ids([PaperId("2209.00001")]), tmp_path)
