"""Malformed requests: each is refused by a sentence, and the service answers afterwards."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

import uvicorn
from tests.server.service.malformed import KINDS, file, form, made, word
from tests.server.service.serving import Served, files, png, refused, scene, serving, words

from vicl.server.listening import configured
from vicl.server.service.app import create_service_app
from vicl.server.service.running import Protocol
from vicl.server.service.service import Service
from vicl.server.service.settings import ServiceSettings


def refuse(served: Served, seed: int) -> None:
    bad = made(seed)
    headers = dict(bad.headers) | ({"content-type": bad.kind} if bad.kind else {})
    reply = served.client.post("/v1/predict", content=bad.body, headers=headers)
    name = KINDS[seed % len(KINDS)].__name__
    assert 400 <= reply.status_code < 500, f"seed {seed} ({name}): {reply.text[:300]}"
    said = refused(reply, reply.status_code)
    assert said.isprintable(), f"seed {seed} ({name}): {said[:300]!a}"
    assert len(said) < 1000, f"seed {seed} ({name})"


def answers(served: Served) -> None:
    assert served.predict(prompt="leaf").status_code == 200


@pytest.mark.parametrize("seed", range(len(KINDS)), ids=lambda seed: KINDS[seed].__name__)
def test_one_of_each_kind(served: Served, seed: int) -> None:
    refuse(served, seed)
    answers(served)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 420, 42))
def test_four_hundred(served: Served, first: int) -> None:
    for seed in range(first, first + 42):
        refuse(served, seed)
        answers(served)


@contextlib.contextmanager
def listening(service: Service, protocol: type[Protocol] = Protocol) -> Iterator[int]:
    """The service on a real socket; gives its port."""
    config = configured(
        create_service_app(service), http=protocol, ws="none", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield port
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def port(leaf: Path) -> Iterator[int]:
    settings = ServiceSettings(
        prompts=(leaf,), examples=False, body_seconds=0.5, body_bytes=1 << 20
    )
    with listening(Service(settings)) as found:
        yield found


BODY = form(file("query", png(scene(1)[0])), word("prompt", "leaf"))
KIND = b"Content-Type: multipart/form-data; boundary=vicl-test-boundary\r\n"


def exchange(port: int, sent: bytes, *, shut: bool = False) -> bytes:
    """All that comes back until the server closes, or has said all."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as opened:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            opened.sendall(sent)
            if shut:
                opened.shutdown(socket.SHUT_WR)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while more := opened.recv(65536):
                got += more
        return got


def post(*headers: bytes) -> bytes:
    lines = [b"POST /v1/predict HTTP/1.1", b"Host: localhost", b"Connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n" + KIND + b"\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (post(b"Content-Length: 10") + BODY, 400),
        (post(b"Content-Length: -5") + BODY, 400),
        (post(b"Content-Length: 1e3") + BODY, 400),
        (post(b"Content-Length: 99999999999999999999999") + BODY, 400),
        (post(b"Content-Length: 9999999999") + BODY, 413),
        (post(b"Content-Length: 5", b"Content-Length: 6") + BODY, 400),
        (post(b"Content-Length: 5", b"Transfer-Encoding: chunked") + BODY, 400),
        (post(b"Transfer-Encoding: chunked") + b"zz\r\n" + BODY, 400),
        (post(b"Transfer-Encoding: gzip") + BODY, 400),
        (post(b"X: " + b"a" * 200_000) + BODY, 400),
        (post(*[b"X-%d: a" % n for n in range(20_000)]) + BODY, 400),
        (post(b"no header at all") + BODY, 400),
        (post(b"X: \x00") + BODY, 400),
        (b"POST /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTX/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET /v1/models HTTP/1.0\r\n\r\n", 403),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\x00" * 100 + b"\r\n\r\n", 400),
        (post(b"Content-Length: %d" % (len(BODY) + 50)) + BODY, 408),
        (post(b"Content-Length: %d" % len(BODY)) + BODY[:100], 408),
        (post(b"Content-Length: 50", b"Expect: 100-continue"), 408),
    ],
)
def test_lies_over_a_real_socket(port: int, sent: bytes, status: int) -> None:
    got = exchange(port, sent)
    replies = [part for part in got.split(b"HTTP/1.1 ") if part and not part.startswith(b"100")]
    head, _, body = replies[-1].partition(b"\r\n\r\n")
    assert head.startswith(str(status).encode()), got[:500]
    assert b"application/problem+json" in head
    assert len(json.loads(body)["detail"]) > 15
    good = exchange(port, post(b"Content-Length: %d" % len(BODY)) + BODY)
    assert good.startswith(b"HTTP/1.1 200"), good[:300]


def test_a_client_that_leaves_in_the_middle_of_its_body(port: int) -> None:
    for _ in range(5):
        exchange(port, post(b"Content-Length: %d" % len(BODY)) + BODY[:200], shut=True)
    good = exchange(port, post(b"Content-Length: %d" % len(BODY)) + BODY)
    assert good.startswith(b"HTTP/1.1 200"), good[:300]


def test_no_more_bodies_are_read_than_may_wait(leaf: Path) -> None:
    settings = ServiceSettings(prompts=(leaf,), examples=False, queue=1)
    whole = post(b"Content-Length: %d" % len(BODY)) + BODY
    service = Service(settings)
    with listening(service) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
            slow.sendall(whole[:-50])
            while not service._reading:
                time.sleep(0.005)
            got = exchange(port, whole)
            assert got.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1" in got
            slow.sendall(whole[-50:])
            assert slow.recv(65536).startswith(b"HTTP/1.1 200")
        assert exchange(port, whole).startswith(b"HTTP/1.1 200")


class Impatient(Protocol):
    head_seconds = 0.2


def test_a_head_that_does_not_end_is_not_waited_for(leaf: Path) -> None:
    settings = ServiceSettings(prompts=(leaf,), examples=False)
    with listening(Service(settings), Impatient) as port:
        for begun in (b"", b"POST /v1/predict HTTP/1.1\r\nX-Slow: "):
            started = time.monotonic()
            assert exchange(port, begun) == b""
            assert time.monotonic() - started < 10
        good = exchange(port, post(b"Content-Length: %d" % len(BODY)) + BODY)
        assert good.startswith(b"HTTP/1.1 200")


def test_what_is_refused_is_in_no_log(leaf: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(prompts=(leaf,), examples=False) as made_, caplog.at_level("INFO"):
        secret = files("query", b"secret bytes", name="secret-name.png")
        made_.post([*secret, *words(prompt="secret-word")])
        made_.post(
            [*files("query", png(scene(1)[0]), name="secret-name.png"), *words(prompt="leaf")]
        )
    assert "POST '/v1/predict' 422" in caplog.text
    assert "secret" not in caplog.text
