"""What a service says of itself."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

import vicl
from vicl.server.service.schemas import Health, ModelFacts, Models, PromptFacts, Prompts
from vicl.server.service.service import Use


def _example(value: Any, kind: str = "application/json") -> Any:
    """A reply's example, as OpenAPI has it."""
    return {200: {"content": {kind: {"example": value}}}}


_LEAF: Final = {
    "name": "leaf",
    "task": "segmentation",
    "classes": ["leaf"],
    "engine": "matching",
    "examples": 2,
    "settings": {},
}
_WELL: Final = {"state": "ready", "version": "0.1.0"}

about_routes = APIRouter(tags=["about"])
probe_routes = APIRouter(tags=["about"])


@about_routes.get(
    "/models",
    summary="The engines that are loaded",
    responses=_example(
        {"models": [{"name": "matching", "weights_hash": "a1b2", "answers_examples": True}]}
    ),
)
def models(service: Use) -> Models:
    """An engine that is not listed is not loaded by any request."""
    chosen = service.engines.chosen() if service.settings.examples else None
    return Models(
        models=tuple(
            ModelFacts(
                name=engine.name,
                weights_hash=engine.weights_hash,
                answers_examples=engine is chosen,
            )
            for engine in service.engines.loaded
        )
    )


@about_routes.get(
    "/prompts",
    summary="The prompt files that are loaded",
    responses=_example({"prompts": [_LEAF]}),
)
def prompts(service: Use) -> Prompts:
    """Each may be named as `prompt` of a request."""
    return Prompts(
        prompts=tuple(
            PromptFacts(
                name=name,
                task=made.task.name,
                classes=made.task.classes,
                engine=made.model.name,
                examples=made.example_count,
                settings=made.settings.model_dump(mode="json", exclude_defaults=True),
            )
            for name, made in ((name, one.prompter()) for name, one in service.prompts.items())
        )
    )


@probe_routes.get("/healthz", summary="Whether the process lives", responses=_example(_WELL))
def healthz(service: Use) -> Health:
    """For whoever restarts it where it does not; needs no key."""
    return Health(state=service.state, version=vicl.__version__)


@probe_routes.get(
    "/readyz",
    summary="Whether it answers",
    responses={
        200: {"model": Health, "content": {"application/json": {"example": _WELL}}},
        503: {"model": Health, "description": "It is ending"},
    },
)
def readyz(service: Use) -> JSONResponse:
    """For whoever shares out requests: 503 while it ends, and no reply before; needs no key."""
    health = Health(state=service.state, version=vicl.__version__)
    return JSONResponse(health.model_dump(), 200 if service.state == "ready" else 503)


@probe_routes.get(
    "/metrics",
    summary="Counts, as Prometheus reads them",
    response_class=Response,
    responses=_example('vicl_requests_total{route="/v1/predict",status="200"} 3.0', "text/plain"),
)
def metrics(service: Use) -> Response:
    """Of all worker processes together."""
    text, kind = service.metrics.text()
    return Response(text, headers={"content-type": kind})
