"""A service as processes: one, or several behind one socket with a parent that minds them."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from types import FrameType
from typing import ClassVar, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vicl.server.listening import configured
from vicl.server.problems import problem
from vicl.server.service.app import create_service_app
from vicl.server.service.metrics import FOLDER
from vicl.server.service.service import Service
from vicl.server.service.settings import ServiceSettings

log = logging.getLogger("vicl.serve")

STOPPED: Final = 130
"""Exit code after Ctrl-C, as of all commands."""
UNUSABLE: Final = 2
"""Exit code of a process that cannot start, and would not the next time either."""
_GRACE: Final = 10.0
"""Seconds beyond the deadline that a process is given to end."""
_SOON: Final = 30.0
"""Who ends within so many seconds of its start is not begun anew at once."""


class Protocol(H11Protocol):
    """HTTP/1.1 whose own refusals are problems too, and which waits for no head for long.

    Attributes:
        head_seconds: Within which the head of a request has come, once it has begun.
    """

    head_seconds: ClassVar[float] = 10.0
    _impatient: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See H11Protocol."""
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """See H11Protocol."""
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See H11Protocol."""
        super().connection_lost(exc)
        self._watch_head(lost=True)

    def _watch_head(self, *, lost: bool = False) -> None:
        """Close the connection soon, while all that has come of a request is a part of its head."""
        if lost or self.conn.their_state is not h11.IDLE:
            if self._impatient is not None:
                self._impatient.cancel()
                self._impatient = None
        elif self._impatient is None:
            self._impatient = self.loop.call_later(self.head_seconds, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """See H11Protocol; called for what is no HTTP, or has headers without end."""
        told = problem(
            400,
            "That is no HTTP request as it should be: its first line, a header or its length is "
            "wrong, or the headers are too long.",
        )
        headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
        body = bytes(told.body)
        headers.append((b"content-length", str(len(body)).encode()))
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Server(uvicorn.Server):
    """Refuses what comes after the signal that ends it, and answers what came before."""

    def __init__(self, config: uvicorn.Config, service: Service, *, minded: bool) -> None:
        super().__init__(config)
        self.service, self.minded = service, minded

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See uvicorn.Server."""
        if self.minded and sig == signal.SIGINT:
            return  # Ctrl-C reaches all processes; the parent says when
        self.service.close()
        super().handle_exit(sig, frame)


def run_here(
    settings: ServiceSettings,
    bound: socket.socket,
    *,
    minded: bool = False,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve in this process until a signal ends it.

    Args:
        settings: Of the service.
        bound: Listens once the service is ready.
        minded: A parent minds this process.
        ready: Called once it listens.

    Raises:
        ValueError: If a prompt or an engine cannot be loaded.
    """
    service = Service(settings)
    try:
        service.begin()
    except BaseException:
        service.end()
        raise
    config = configured(
        create_service_app(service),
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.deadline + _GRACE),
    )
    server = _Server(config, service, minded=minded)
    # uvicorn raises the signal that ended it once more: that is not to kill the process.
    signal.signal(signal.SIGTERM, server.handle_exit)
    bound.listen(config.backlog)
    ready()
    server.run(sockets=[bound])


def run_several(
    settings: ServiceSettings,
    bound: socket.socket,
    workers: int,
    ready: Callable[[], None] = lambda: None,
) -> int:
    """Serve in several processes until a signal ends them; gives the exit code.

    One that ends by itself is begun anew, unless it cannot start at all.

    Args:
        settings: Of each.
        bound: They share it: the system gives each connection to one of them.
        workers: How many.
        ready: Called once all have begun.
    """
    with tempfile.TemporaryDirectory(prefix="vicl-counts-") as counts:
        os.environ[FOLDER] = counts
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
        ended_by: list[int] = []
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, lambda number, _: ended_by.append(number))
        minder = _Minder(settings, bound, ready)
        try:
            for _ in range(workers):
                minder.start()
            while not ended_by and minder.mind():
                pass
        finally:
            minder.end()
        return STOPPED if signal.SIGINT in ended_by[:1] else minder.code


class _Minder:
    """Begins processes, and anew those that end."""

    def __init__(
        self, settings: ServiceSettings, bound: socket.socket, ready: Callable[[], None]
    ) -> None:
        self.settings, self.bound, self.ready = settings, bound, ready
        self.code = 0
        self._context = multiprocessing.get_context("spawn")
        self._running: dict[SpawnProcess, float] = {}
        self._begun: list[Event] | None = []
        self._later: list[float] = []

    def start(self) -> None:
        """Begin one more."""
        begun = self._context.Event()
        process = self._context.Process(target=_work, args=(self.settings, self.bound, begun))
        process.start()
        self._running[process] = time.monotonic()
        if self._begun is not None:
            self._begun.append(begun)

    def mind(self) -> bool:
        """Look after them for a moment; False once one cannot start."""
        wait([process.sentinel for process in self._running], timeout=0.2)
        if self._begun is not None and all(begun.is_set() for begun in self._begun):
            self._begun = None
            self.ready()
        for process in [one for one in self._running if one.exitcode is not None]:
            begun = self._running.pop(process)
            if process.exitcode == UNUSABLE:
                self.code = UNUSABLE
                return False
            log.error("process %s ended (%s); begun anew", process.pid, process.exitcode)
            soon = time.monotonic() - begun < _SOON
            self._later.append(time.monotonic() + (5 if soon else 0))
        now = time.monotonic()
        for _ in [at for at in self._later if at <= now]:
            self.start()
        self._later = [at for at in self._later if at > now]
        return True

    def end(self) -> None:
        """End all; those that take too long are killed."""
        self.bound.close()
        for process in self._running:
            process.terminate()
        until = time.monotonic() + self.settings.deadline + 2 * _GRACE
        for process in self._running:
            process.join(max(0.0, until - time.monotonic()))
            if process.exitcode is None:
                process.kill()
                process.join()


def _work(settings: ServiceSettings, bound: socket.socket, begun: Event) -> None:
    """One of several processes."""
    set_log()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        run_here(settings, bound, minded=True, ready=begun.set)
    except (ValueError, OSError) as error:
        log.error("error: %s", error)
        sys.exit(UNUSABLE)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def set_log() -> None:
    """Write requests, warnings and faults to standard error, a line each."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    log.setLevel(logging.INFO)
