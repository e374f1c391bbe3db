"""Asking a service: pauses, tries, what is followed and what is not."""

from __future__ import annotations

import email.message
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.figures.arxiv.serving import ArXiv, Fault, Served, source

from vicl.figures.arxiv.harvest.manners import (
    AbsentError,
    Answer,
    Manners,
    TransientError,
    UnreachableError,
    Visitor,
    check_service,
    retry_after,
)
from vicl.figures.arxiv.papers import HarvestError

BODY = source("words " * 1000)


@pytest.fixture
def paper(arxiv: ArXiv) -> Served:
    arxiv.papers = [Served("2209.00647v1", BODY)]
    return arxiv.papers[0]


def visitor(arxiv: ArXiv, **how: object) -> Visitor:
    return Visitor(Manners(**how), arxiv.clock.clock)


def ask(arxiv: ArXiv, asking: Visitor | None = None, name: str = "2209.00647v1") -> bytes:
    asking = asking or visitor(arxiv)
    return asking.ask(f"{arxiv.sources}/{name}", lambda answer: answer.read(1 << 20))


def gaps(arxiv: ArXiv) -> list[float]:
    times = [time for _, time in arxiv.asked]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


@pytest.mark.usefixtures("paper")
def test_pauses_and_a_name(arxiv: ArXiv) -> None:
    asking = visitor(arxiv, contact="someone@example.org")
    for _ in range(4):
        assert ask(arxiv, asking) == BODY
    assert gaps(arxiv) == [3.0] * 3
    (agent,) = arxiv.agents
    assert agent is not None
    assert agent.startswith("vicl/")
    assert agent.endswith("(figures harvest; someone@example.org)")


@pytest.mark.usefixtures("paper")
def test_no_pause_where_enough_time_has_passed(arxiv: ArXiv) -> None:
    asking = visitor(arxiv)
    ask(arxiv, asking)
    arxiv.clock.time += 2.5
    ask(arxiv, asking)
    arxiv.clock.time += 100
    ask(arxiv, asking)
    assert gaps(arxiv) == [3.0, 100.0]


@pytest.mark.usefixtures("paper")
@pytest.mark.parametrize(
    ("fault", "pause"),
    [
        (Fault(429, (("Retry-After", "120"),)), 120.0),
        (Fault(503, (("Retry-After", "Sun, 09 Sep 2001 01:50:40 GMT"),)), 240.0),
        (Fault(503, (("Retry-After", "soon"),)), 3.0),
        (Fault(429, (("Retry-After", "0"),)), 3.0),
        (Fault(500), 3.0),
        (Fault(drop=100), 3.0),
        (Fault(drop=0), 3.0),
    ],
    ids=["seconds", "date", "nonsense", "at once", "500", "cut", "dropped"],
)
def test_tries_again(arxiv: ArXiv, fault: Fault, pause: float) -> None:
    arxiv.faults["e-print"] = [fault]
    asking = visitor(arxiv)
    assert ask(arxiv, asking) == BODY
    assert gaps(arxiv) == [pause]
    assert (asking.requests, asking.retries) == (2, 1)


@pytest.mark.usefixtures("paper")
def test_pauses_double_and_tries_end(arxiv: ArXiv) -> None:
    arxiv.faults["e-print"] = [Fault(503)] * 20
    with pytest.raises(UnreachableError, match=r"the service says 503 .*, 8 times"):
        ask(arxiv)
    assert gaps(arxiv) == [3, 6, 12, 24, 48, 96, 192]


@pytest.mark.usefixtures("paper")
def test_what_the_reader_of_an_answer_finds_is_tried_again(arxiv: ArXiv) -> None:
    def refuse(_: object) -> None:
        raise TransientError("is odd", tries=2)

    with pytest.raises(UnreachableError, match="is odd, 2 times"):
        visitor(arxiv).ask(f"{arxiv.sources}/2209.00647", refuse)
    assert len(arxiv.asked) == 2


@pytest.mark.usefixtures("paper")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(403), "does not want to be asked by this program"),
        (Fault(429, (("Retry-After", "86400"),)), r"asks to come back in 24\.0 hours"),
        (Fault(302, (("Location", "http://elsewhere.example/x"),)), "which is another service"),
        (Fault(302, (("Location", "file:///etc/passwd"),)), "that is not followed"),
        (Fault(304), "redirects in a way that is not followed"),
    ],
)
def test_what_ends_a_run(arxiv: ArXiv, fault: Fault, words: str) -> None:
    arxiv.faults["e-print"] = [fault]
    with pytest.raises(HarvestError, match=words):
        ask(arxiv)
    assert len(arxiv.asked) == 1


@pytest.mark.usefixtures("paper")
def test_redirections_within_a_service_are_requests_too(arxiv: ArXiv) -> None:
    arxiv.faults["e-print"] = [Fault(301, (("Location", "/e-print/2209.00647v1"),))] * 2
    asking = visitor(arxiv)
    assert ask(arxiv, asking) == BODY
    assert gaps(arxiv) == [3.0, 3.0]
    assert asking.requests == 3
    arxiv.faults["e-print"] = [Fault(301, (("Location", "/e-print/2209.00647v1"),))] * 20
    with pytest.raises(HarvestError, match="redirects in a way that is not followed"):
        ask(arxiv)


@pytest.mark.usefixtures("paper")
@pytest.mark.parametrize(
    ("code", "kind"), [(404, AbsentError), (410, AbsentError), (400, None), (451, None)]
)
def test_what_is_not_there_is_asked_for_once(
    arxiv: ArXiv, code: int, kind: type[Exception] | None
) -> None:
    """Other answers do not say that there is no such thing: a later run asks again."""
    arxiv.faults["e-print"] = [Fault(code)]
    with pytest.raises(kind or UnreachableError, match=f"the service says {code}"):
        ask(arxiv)
    assert len(arxiv.asked) == 1


@pytest.mark.usefixtures("paper")
def test_a_body_is_bounded(arxiv: ArXiv) -> None:
    with pytest.raises(HarvestError, match="more than 0 MiB"):
        visitor(arxiv).ask(f"{arxiv.sources}/2209.00647", lambda answer: answer.read(50))


def test_a_body_that_drips(arxiv: ArXiv) -> None:
    class Dripping:
        headers = email.message.Message()

        def read1(self, _: int) -> bytes:
            arxiv.clock.sleep(50.0)
            return b"."

    with pytest.raises(TransientError, match="more than 30 minutes"):
        Answer(Dripping(), arxiv.clock.clock).read(1 << 20)
    assert arxiv.clock.time < 2000


def test_nobody_there(arxiv: ArXiv) -> None:
    asking = visitor(arxiv, attempts=2)
    with pytest.raises(UnreachableError, match=r"cannot be reached .*, 2 times"):
        asking.ask("http://127.0.0.1:9/e-print/2209.00647", lambda answer: answer.read(9))


def test_haste_at_arxiv_is_refused() -> None:
    check_service("https://export.arxiv.org/api/query", delay=3.0)
    check_service("http://127.0.0.1:8000/api", delay=0.0)
    for url in ("https://arxiv.org/e-print", "http://EXPORT.arxiv.org/x"):
        with pytest.raises(HarvestError, match=r"got 2\.9 s, expected at least 3 s"):
            check_service(url, delay=2.9)
    for url in ("ftp://arxiv.org", "arxiv.org", "http://"):
        with pytest.raises(HarvestError, match="is no address"):
            check_service(url, delay=3.0)


def test_a_contact_that_cannot_be_sent() -> None:
    with pytest.raises(HarvestError, match="expected an address without spaces"):
        Manners(contact="a@b\r\nX: y")


@settings(max_examples=30)
@given(st.text(max_size=40))
def test_any_retry_after(text: str) -> None:
    seconds = retry_after(text, 0.0)
    assert seconds is None or seconds >= 0
