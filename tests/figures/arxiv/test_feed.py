"""Atom feeds of arXiv's API."""

from __future__ import annotations

import pytest
from tests.figures.arxiv.serving import Served, atom

from vicl.figures.arxiv.harvest.feed import FeedError, parse_feed
from vicl.figures.arxiv.papers import Paper


def test_a_page() -> None:
    papers = [
        Served("2209.00647v3", b"", categories=("cs.CV", "cs.AI")),
        Served("cs/0112017v1", b"", day="2001-12-10"),
    ]
    found = parse_feed(atom(papers, 7))
    assert found.total == 7
    assert found.papers == (
        Paper(
            *("2209.00647", 3, "listed"),
            title="On 2209.00647v3 & more",
            categories=("cs.CV", "cs.AI"),
            published="2022-09-01",
        ),
        Paper(
            *("cs/0112017", 1, "listed"),
            title="On cs/0112017v1 & more",
            categories=("cs.CV",),
            published="2001-12-10",
        ),
    )


@pytest.mark.parametrize(
    ("comment", "withdrawn"),
    [
        ("This paper has been withdrawn by the authors due to an error", True),
        ("Withdrawn, see 2210.00001", True),
        ("The author has withdrawn this submission", True),
        ("The authors withdraw it: equation 3 is wrong", True),
        ("Accepted at a conference, 10 pages", False),
        ("This paper was withdrawn from a conference", False),
        ("We study withdrawn products", False),
    ],
)
def test_withdrawn_papers(comment: str, withdrawn: bool) -> None:
    (paper,) = parse_feed(atom([Served("2209.00647v2", b"", comment)], 1)).papers
    assert paper.status == ("withdrawn" if withdrawn else "listed")
    assert paper.reason == (comment if withdrawn else "")


def test_a_licence() -> None:
    page = atom([Served("2209.00647v2", b"")], 1)
    url = "http://creativecommons.org/licenses/by/4.0/"
    for extra in (f'<link rel="license" href="{url}"/>', f"<rights>{url}</rights>"):
        found = parse_feed(page.replace(b"</entry>", f"{extra}</entry>".encode()))
        assert found.papers[0].licence == url


ERROR = atom([], 1).replace(
    b"</feed>",
    b"<entry><id>http://arxiv.org/api/errors#incorrect_id</id><title>Error</title>"
    b"<summary>incorrect id format for x</summary></entry></feed>",
)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (atom([Served("2209.00647v2", b"")], 1)[:-40], "is no XML, or is cut off"),
        (b"", "is no XML"),
        (b"<html><body>Busy</body></html>", "is <html>, expected <feed>"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><feed/>', "document type or entities"),
        (b"<feed/>", "how many papers"),
        (ERROR, "the API says: incorrect id format for x"),
        (atom([Served("../x", b"")], 1), "expected an arXiv identifier"),
    ],
)
def test_what_is_no_page(data: bytes, words: str) -> None:
    with pytest.raises(FeedError, match=words):
        parse_feed(data)
