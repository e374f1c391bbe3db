"""The API: routes over one project, versioned, behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import vicl
from vicl.server.problems import tell_problems
from vicl.server.routes_files import file_routes
from vicl.server.routes_images import edit_routes, list_routes, picture_routes
from vicl.server.routes_project import project_routes
from vicl.server.schemas import Problem
from vicl.server.security import Guard, Security
from vicl.server.services import Services

_PROBLEMS = {
    code: {"model": Problem, "description": text}
    for code, text in {
        403: "Not from here",
        404: "There is no such thing",
        409: "Changed elsewhere, or cannot be now",
        413: "Too large",
        422: "A value cannot be",
        428: "If-Match is missing",
    }.items()
}


def create_api(services: Services, guard: Guard) -> FastAPI:
    """Make the API.

    Args:
        services: Over the project; ended when the server shuts down.
        guard: Whom it answers.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        services.end()

    app = FastAPI(
        title="vicl",
        version=vicl.__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    app.state.services = services
    for routes in (project_routes, list_routes, picture_routes, edit_routes, file_routes):
        app.include_router(routes, prefix="/v1", responses=_PROBLEMS)  # type: ignore[arg-type]
    tell_problems(app)
    app.add_middleware(Security, guard=guard)
    return app
