"""A service as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.requests import ClientDisconnect

import vicl
from vicl.server.problems import tell_problems
from vicl.server.schemas import Problem
from vicl.server.service.about import about_routes, probe_routes
from vicl.server.service.gate import Gate
from vicl.server.service.jobs.routes import job_routes
from vicl.server.service.jobs.running import Worker
from vicl.server.service.jobs.store import Store
from vicl.server.service.labellers.cvat import cvat_routes
from vicl.server.service.labellers.label_studio import label_studio_routes
from vicl.server.service.page import page_of
from vicl.server.service.predict import predict_routes
from vicl.server.service.service import Service

ROUTERS: Final[tuple[tuple[APIRouter, str], ...]] = (
    (predict_routes, "/v1"),
    (job_routes, "/v1"),
    (label_studio_routes, ""),
    (cvat_routes, ""),
    (about_routes, "/v1"),
    (probe_routes, ""),
)
"""What a service answers: routes, and what stands before their paths."""

_PROBLEMS: Final = {
    400: "The request is broken",
    401: "A key is needed",
    403: "Not from here",
    404: "There is no such thing",
    405: "Not by this method",
    408: "The body did not come in time",
    413: "Too large",
    415: "Of another kind than is read",
    422: "A value cannot be",
    500: "The service failed; its log says more",
    503: "No room, or starting or ending; Retry-After says when to ask again",
    504: "Time was up",
}
_DESCRIPTION: Final = """Visual prompts behind HTTP: send pictures, get what the examples show.

Every error is a problem (RFC 9457), whose `detail` is a sentence for a person."""


def create_service_app(service: Service) -> FastAPI:
    """Make the application; it begins the service when it starts, and ends it.

    Args:
        service: Not begun yet.

    Raises:
        ValueError: If its jobs cannot be kept where they are to be.
    """
    store = None if service.settings.jobs is None else Store(service.settings.jobs)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if service.state == "starting":
            await asyncio.to_thread(service.begin)
        worker = None if store is None else Worker(service, store)
        if worker is not None:
            worker.begin()
        try:
            yield
        finally:
            if worker is not None:
                await worker.end()
            await asyncio.to_thread(service.end)

    app = FastAPI(
        title="vicl serve",
        summary="Visual in-context learning as a service.",
        description=_DESCRIPTION,
        version=vicl.__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        responses={
            code: {
                "description": text,
                "content": {
                    "application/problem+json": {
                        "schema": {"$ref": "#/components/schemas/Problem"},
                    }
                },
            }
            for code, text in _PROBLEMS.items()
        },
    )
    app.state.service, app.state.jobs = service, store
    for routes, prefix in ROUTERS:
        app.include_router(routes, prefix=prefix)

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(page_of(app.openapi()))

    @app.exception_handler(ClientDisconnect)
    def left(_: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)

    tell_problems(app)
    app.add_middleware(Gate, service=service)
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Add to the OpenAPI description what routes share: problems, and keys."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        schema = plain()
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{}, {"key": []}]
        return schema

    app.openapi = described  # type: ignore[method-assign]
