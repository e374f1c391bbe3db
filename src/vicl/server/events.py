"""News for the pages that are open, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any, Final

_HELD: Final = 1000
"""Events that wait for a page; a page that does not listen loses the oldest."""
_QUIET: Final = 15.0
"""Seconds after which a line is sent so that a connection that is gone is noticed."""


class Events:
    """Tells whoever listens; may be called from any thread."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Queue[str], asyncio.AbstractEventLoop] = {}
        self._lock = threading.Lock()

    def tell(self, kind: str, **facts: Any) -> None:
        """Send an event to all that listen."""
        line = json.dumps({"kind": kind, **facts}, allow_nan=False)
        with self._lock:
            listeners = list(self._listeners.items())
        for queue, loop in listeners:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_put, queue, line)

    async def listen(self, *, quiet: float = _QUIET) -> AsyncIterator[str]:
        """Events from now on, as the lines of a stream."""
        queue: asyncio.Queue[str] = asyncio.Queue(_HELD)
        with self._lock:
            self._listeners[queue] = asyncio.get_running_loop()
        try:
            yield ": vicl\n\n"
            while True:
                try:
                    line = await asyncio.wait_for(queue.get(), quiet)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if not line:
                    return
                yield f"data: {line}\n\n"
        finally:
            with self._lock:
                del self._listeners[queue]

    def end(self) -> None:
        """End all streams."""
        with self._lock:
            listeners = list(self._listeners.items())
        for queue, loop in listeners:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_put, queue, "")


def _put(queue: asyncio.Queue[str], line: str) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(line)
