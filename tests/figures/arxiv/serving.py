"""A server on this machine that speaks arXiv's API and serves sources, with faults as told."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from vicl.figures.arxiv.harvest.manners import Clock
from vicl.figures.arxiv.identifiers import PaperId


def source(text: str) -> bytes:
    """A gzipped tar with one TeX file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("main.tex")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(packed.getvalue(), mtime=0)


@dataclass
class Served:
    """A paper of the server; its body is None where it is gone."""

    id: str
    body: bytes | None
    comment: str = ""
    day: str = "2022-09-01"
    categories: tuple[str, ...] = ("cs.CV",)
    media_type: str = "application/x-eprint-tar"
    known: bool = True


@dataclass(frozen=True)
class Fault:
    """What comes in the place of an answer.

    Attributes:
        status: Instead of 200.
        headers: More of them.
        drop: End the connection after so many bytes of the body.
        cut: Send so many bytes of it, as if they were all.
        body: Send this.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    drop: int | None = None
    cut: int | None = None
    body: bytes | None = None


class FakeClock:
    """A time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.time = 0.0
        self.clock = Clock(lambda: self.time, lambda: 1_000_000_000.0 + self.time, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class ArXiv:
    """The server.

    Attributes:
        papers: What it has.
        faults: Of the answers to come, by a part of the address.
        asked: The addresses, with the time of each.
        agents: User agents.
        served: How often each source was sent in whole.
        clock: Of those who ask.
    """

    address: str = ""
    papers: list[Served] = field(default_factory=list)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    asked: list[tuple[str, float]] = field(default_factory=list)
    agents: set[str | None] = field(default_factory=set)
    served: Counter[str] = field(default_factory=Counter)
    clock: FakeClock = field(default_factory=FakeClock)

    @property
    def api(self) -> str:
        return f"{self.address}/api/query"

    @property
    def sources(self) -> str:
        return f"{self.address}/e-print"

    def find(self, text: str) -> Served | None:
        """A paper by identifier; the latest version if it has none."""
        wanted = PaperId.parse(text)
        found = [
            paper
            for paper in self.papers
            if PaperId.parse(paper.id).number == wanted.number
            and wanted.version in (None, PaperId.parse(paper.id).version)
        ]
        return max(found, key=lambda paper: PaperId.parse(paper.id), default=None)


@pytest.fixture
def arxiv() -> Iterator[ArXiv]:
    state = ArXiv()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            with contextlib.suppress(ConnectionError):  # of who was killed
                answer(self, state)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def answer(request: BaseHTTPRequestHandler, state: ArXiv) -> None:
    state.asked.append((request.path, state.clock.time))
    state.agents.add(request.headers.get("User-Agent"))
    fault = next(
        (queue.pop(0) for part, queue in state.faults.items() if part in request.path and queue),
        Fault(),
    )
    paper = None
    if request.path.startswith("/api/query?"):
        body: bytes | None = feed(state, request.path)
        media_type = "application/atom+xml"
    else:
        paper = state.find(unquote(request.path.removeprefix("/e-print/")))
        body = None if paper is None else paper.body
        media_type = "text/plain" if paper is None else paper.media_type
    body = body if fault.body is None else fault.body
    if fault.status != 200 or body is None:
        request.send_response(404 if body is None else fault.status)
        for name, value in fault.headers:
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    body = body[: fault.cut]
    request.send_response(200)
    for name, value in {"Content-Type": media_type, **dict(fault.headers)}.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body[: fault.drop])
    if paper is not None and fault == Fault():
        state.served[paper.id] += 1


def feed(state: ArXiv, path: str) -> bytes:
    asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
    known = [paper for paper in state.papers if paper.known]
    if "id_list" in asked:
        wanted = [state.find(text) for text in asked["id_list"].split(",")]
        found = [paper for paper in wanted if paper is not None and paper.known]
    else:
        first, last = asked["search_query"].split("submittedDate:[")[1].rstrip("]").split(" TO ")
        days = first[:8], last[:8]
        found = [
            paper
            for paper in known
            if days[0] <= paper.day.replace("-", "") <= days[1]
            and any(f"cat:{name}" in asked["search_query"] for name in paper.categories)
        ]
    start, most = int(asked["start"]), int(asked["max_results"])
    return atom(found[start : start + most], len(found), start)


def atom(papers: list[Served], total: int, start: int = 0) -> bytes:
    entries = "".join(
        f"<entry><id>http://arxiv.org/abs/{paper.id}</id>"
        f"<title>On\n  {escape(paper.id)} &amp; more</title><summary>Words.</summary>"
        f"<published>{paper.day}T17:59:55Z</published>"
        + (f"<arxiv:comment>{escape(paper.comment)}</arxiv:comment>" if paper.comment else "")
        + f'<arxiv:primary_category term="{paper.categories[0]}"/>'
        + "".join(f'<category term="{name}"/>' for name in sorted(paper.categories))
        + "</entry>"
        for paper in papers
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:arxiv="http://arxiv.org/schemas/atom" '
        'xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">'
        f"<opensearch:totalResults>{total}</opensearch:totalResults>"
        f"<opensearch:startIndex>{start}</opensearch:startIndex>{entries}</feed>"
    ).encode()


EMPTY = atom([], 0)
