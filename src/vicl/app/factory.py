"""The page over the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from vicl.server.api import create_api
from vicl.server.security import Guard
from vicl.server.services import Services

STATIC = Path(__file__).parent / "static"


class _Files(StaticFiles):
    """The page's files, which a browser asks for anew: an upgrade is seen at once."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        """See StaticFiles."""
        response = super().file_response(*args, **options)
        response.headers["cache-control"] = "no-cache"
        return response


def create_app(services: Services, guard: Guard) -> FastAPI:
    """Make the API with the page at `/`; see :func:`vicl.server.api.create_api`."""
    app = create_api(services, guard)

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    app.mount("/static", _Files(directory=STATIC, check_dir=False))
    return app
