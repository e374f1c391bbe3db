"""A server on this machine whose answers a test decides."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

DATA = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


@dataclass
class Server:
    """What the server is to do, and what it was asked.

    Attributes:
        files: Contents by path.
        drops: The answers to come that end early, and after how many bytes.
        fail: The statuses of the answers to come.
        ranges: Whether it can give parts.
        tag: The version that it marks; None for none.
        wrong: Headers that it gives in the place of the true ones.
        hide: Leave out the length.
        asked: Path, Range and Host of each request.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: {"/w": DATA})
    drops: list[int] = field(default_factory=list)
    fail: list[int] = field(default_factory=list)
    ranges: bool = True
    tag: str | None = '"one"'
    wrong: dict[str, str] = field(default_factory=dict)
    hide: bool = False
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            answer(self, state)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def answer(request: BaseHTTPRequestHandler, state: Server) -> None:
    span = request.headers.get("Range")
    path = request.path.removeprefix("http://weights.example")
    state.asked.append((path, span, request.headers.get("Host")))
    status = state.fail.pop(0) if state.fail else 200
    if path == "/moved":
        request.send_response(302)
        request.send_header("Location", "/w")
        request.end_headers()
        return
    data = state.files.get(path)
    if data is None or status != 200:
        request.send_error(404 if data is None else status)
        return
    start = 0
    fresh = request.headers.get("If-Range") in (None, state.tag)
    if span and state.ranges and fresh:
        start = int(span.removeprefix("bytes=").removesuffix("-"))
        if start >= len(data):
            request.send_error(416)
            return
    headers = {"Content-Type": "application/octet-stream"}
    if not state.hide:
        headers["Content-Length"] = str(len(data) - start)
    if state.tag:
        headers["ETag"] = state.tag
    if start:
        headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
    request.send_response(206 if start else 200)
    for name, value in (headers | state.wrong).items():
        request.send_header(name, value)
    request.end_headers()
    end = start + state.drops.pop(0) if state.drops else len(data)
    request.wfile.write(data[start:end])
