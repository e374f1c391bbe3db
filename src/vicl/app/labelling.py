"""The page on which figures are labelled, for one person on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict

from vicl.figures.arxiv.filtering.labelling import Labelling
from vicl.images import encode_image, open_image, to_rgb
from vicl.server.problems import Refusal, tell_problems
from vicl.server.security import Guard, Security

PAGE: Final = Path(__file__).parent / "label"

_LONGEST: Final = 1600
"""Longest side of a figure as it is shown, in pixels."""

_FRESH: Final = {"cache-control": "no-cache"}


class Said(BaseModel):
    """What the person said of a figure."""

    model_config = ConfigDict(extra="forbid", strict=True)
    figure: int
    wanted: bool


def create_label_app(labelling: Labelling) -> FastAPI:
    """Make the API with the page at `/`; it answers only what is asked from this machine."""
    app = FastAPI(title="vicl figures label", docs_url=None, redoc_url=None, openapi_url=None)
    tell_problems(app)
    app.add_middleware(Security, guard=Guard())

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers=_FRESH)

    @app.get("/progress")
    def progress() -> dict[str, Any]:
        return asdict(labelling.progress())

    @app.post("/label")
    def label(said: Said) -> dict[str, Any]:
        if not 0 <= said.figure < len(labelling.figures):
            raise Refusal(404, f"There is no figure {said.figure}.")
        return asdict(labelling.label(said.figure, wanted=said.wanted))

    @app.post("/undo")
    def undo() -> dict[str, Any]:
        return asdict(labelling.undo())

    @app.get("/figures/{number}")
    def figure(number: int) -> Response:
        if not 0 <= number < len(labelling.figures):
            raise Refusal(404, f"There is no figure {number}.")
        image = to_rgb(open_image(labelling.figures[number]))
        image.thumbnail((_LONGEST, _LONGEST))
        return Response(encode_image(image, ".png"), media_type="image/png")

    app.mount("/static", StaticFiles(directory=PAGE))
    return app
