"""Where a server listens, and by which names it is called."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from vicl.files import reason

if TYPE_CHECKING:
    import uvicorn

_ANY: Final = ("0.0.0.0", "::")


def configured(app: Any, **settings: Any) -> uvicorn.Config:
    """How uvicorn serves an app: on Python's own event loop, also where uvloop is installed.

    That one leaves a connection open whose request is refused before it is read.

    Args:
        app: An ASGI application.
        settings: Of `uvicorn.Config`.
    """
    import uvicorn

    return uvicorn.Config(app, loop="asyncio", **settings)


def bind(host: str, port: int) -> socket.socket:
    """A socket that is bound, and does not listen yet.

    Raises:
        ValueError: If it cannot be had.
    """
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise ValueError(
            f"--port: {port} on {host} cannot be had ({reason(error)}); give another, "
            "or 0 for any that is free"
        ) from error
    except BaseException:
        made.close()
        raise
    return made


def address_of(bound: socket.socket, host: str) -> str:
    """How a browser on this machine, or on another, opens what listens there."""
    port = bound.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    if host in ("127.0.0.1", *_ANY):
        shown = "localhost"
    return f"http://{shown}:{port}/"


def names_of(host: str) -> tuple[str, ...]:
    """The names by which a server that listens there may be called."""
    if host not in _ANY:
        return (host.lower(),)
    name = socket.gethostname().lower()
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(name, None)}
    except OSError:
        addresses = set()
    return (name, socket.getfqdn().lower(), *sorted(addresses))
