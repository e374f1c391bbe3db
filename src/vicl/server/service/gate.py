"""Whom a service answers: decided before anything of a request is parsed."""

from __future__ import annotations

import logging
import time
from collections.abc import MutableMapping
from typing import Any, Final

from vicl.server.problems import problem
from vicl.server.security import HEADERS, App, Guard, Receive, Scope, Send
from vicl.server.service.keys import Keys
from vicl.server.service.service import Service

log = logging.getLogger("vicl.serve")

_OPEN: Final = frozenset({"/healthz", "/readyz"})
"""What is answered without a key: it says nothing but whether the service is well."""

_MARKS: Final = (*HEADERS, (b"cache-control", b"no-store"))


class Gate:
    """Middleware that asks for keys, marks every reply, and notes each request in the log.

    The log holds method, path, status and time: nothing of what was sent.

    Args:
        app: What is guarded.
        service: Whose keys and names they are.
    """

    def __init__(self, app: App, *, service: Service) -> None:
        self.app, self.service = app, service
        self.guard = Guard(hosts=service.settings.hosts)
        self.keys = Keys(service.settings.keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.monotonic(), 499

        async def marked(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_MARKS]
            await send(message)

        try:
            refused = self._refused(scope)
            if refused is None:
                await self.app(scope, receive, marked)
            else:
                response = problem(*refused)
                if refused[0] == 401:
                    response.headers["www-authenticate"] = "Bearer"
                await response(scope, receive, marked)
        finally:
            seconds = time.monotonic() - started
            path = scope["path"]
            self.service.metrics.request(_route(scope), status, seconds)
            log.info("%s %.200r %d %.3f s", scope["method"], path, status, seconds)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence of a refusal; None where a request is let through."""
        headers = dict(scope["headers"])
        if not self.guard.allows_host(headers.get(b"host", b"").decode("latin-1")):
            return 403, (
                "The service does not go by this name; whoever runs it says its names with --name."
            )
        if headers.get(b"origin") is not None or headers.get(b"sec-fetch-site", b"none") not in (
            *(b"none", b"same-origin"),
        ):
            return 403, "A page of another site asked; only programs may."
        if self.keys and scope["path"] not in _OPEN and not self.keys.shown(headers):
            return 401, "Show a key of this service: Authorization: Bearer KEY."
        return None


def _route(scope: Scope) -> str:
    """A route for the counts, so that a stranger's paths make no new ones."""
    route = scope.get("route")
    if route is None:
        return "other"
    pattern = str(getattr(route, "path", "other"))
    # A router's routes do not know what stands before them; without parameters the path does.
    return pattern if "{" in pattern else str(scope["path"])
