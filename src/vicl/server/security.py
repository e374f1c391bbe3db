"""Who may talk to the server, and how much: decided before anything of a request is parsed."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from vicl.server.problems import problem

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE: Final = "vicl_token"
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_JSON_LIMIT: Final = 16 << 20
_UPLOAD_LIMIT: Final = 512 << 20
"""Bytes of a body: of plain JSON, and of files."""

HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' blob: data:; "
        b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)


@dataclass(frozen=True)
class Guard:
    """Whom the server answers.

    Attributes:
        hosts: Names by which it may be called, in lower case, beside those of this machine.
        token: What a browser must show; None on this machine alone.
    """

    hosts: tuple[str, ...] = ()
    token: str | None = None

    def allows_host(self, host: str) -> bool:
        """Whether a `Host` header names this server.

        Else a page elsewhere asks under a name of its own that leads here (DNS rebinding).
        """
        name = _name(f"//{host}")
        return name is not None and name in (*LOOPBACK, *self.hosts)


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Security:
    """Middleware that lets through what :class:`Guard` allows, and marks every reply.

    Args:
        app: What is guarded.
        guard: Whom it answers.
    """

    def __init__(self, app: App, *, guard: Guard) -> None:
        self.app, self.guard = app, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        cookie = self._cookie(scope)

        async def marked(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
                if cookie is not None:
                    message["headers"].append((b"set-cookie", cookie))
            await send(message)

        refused = self._refused(scope, headers)
        if refused is not None:
            await problem(*refused)(scope, receive, marked)
            return
        await self.app(scope, _bounded(receive, _limit(headers)), marked)

    def _refused(self, scope: Scope, headers: dict[bytes, str]) -> tuple[int, str] | None:
        """Status and sentence of a refusal; None where a request is let through."""
        host = headers.get(b"host", "")
        if not self.guard.allows_host(host):
            return 403, "This address is not one of the server's own; open the one that it printed."
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "A page of another site asked; only the server's own page may."
        if headers.get(b"sec-fetch-site") in ("cross-site", "same-site"):
            top = headers.get(b"sec-fetch-mode") == "navigate" and scope["method"] == "GET"
            if not top:
                return 403, "A page of another site asked; only the server's own page may."
        if self.guard.token is not None and not self._known(scope, headers):
            return 401, "Open the address with the token that `vicl app` printed."
        length = headers.get(b"content-length", "0")
        if not length.isdecimal() or len(length) > 18:
            return 400, "The request's length is no number."
        limit = _limit(headers)
        if int(length) > limit:
            return 413, f"That is more than {limit >> 20} MiB at once; send less."
        return None

    def _known(self, scope: Scope, headers: dict[bytes, str]) -> bool:
        """Whether a request shows the token: in a cookie, its address, or as a bearer."""
        shown = [headers.get(b"authorization", "").removeprefix("Bearer ")]
        try:
            cookie = SimpleCookie(headers.get(b"cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        shown += [] if cookie is None else [cookie.value]
        shown += parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        return any([self._same(one) for one in shown])  # noqa: C419 - all are compared

    def _same(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self.guard.token or "").encode())

    def _cookie(self, scope: Scope) -> bytes | None:
        """The cookie that keeps a token that came in an address."""
        if self.guard.token is None:
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if not any(self._same(one) for one in given):
            return None
        return f"{COOKIE}={self.guard.token}; Path=/; HttpOnly; SameSite=Strict".encode()


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _limit(headers: dict[bytes, str]) -> int:
    files = headers.get(b"content-type", "").lower().startswith("multipart/form-data")
    return _UPLOAD_LIMIT if files else _JSON_LIMIT


def _bounded(receive: Receive, limit: int) -> Receive:
    """Receive no more than a limit, whatever length was said."""
    taken = 0

    async def bounded() -> MutableMapping[str, Any]:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            return {"type": "http.disconnect"}
        return message

    return bounded
