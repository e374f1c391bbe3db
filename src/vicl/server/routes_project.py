"""Routes of the project as a whole: its state, answers, events and score."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse

from vicl.prompting.settings import PromptSettings
from vicl.server.problems import Refusal
from vicl.server.schemas import (
    Ask,
    Asked,
    EngineList,
    ProjectChange,
    ProjectState,
    Score,
    Trial,
)
from vicl.server.services import Services, Use
from vicl.server.states import project_state

IfMatch = Annotated[str | None, Header(max_length=40)]


def check_match(given: str | None, revision: int) -> bool:
    """Whether a write is of the present revision; `*` is whatever is there.

    Raises:
        Refusal: If nothing was said, or no number.
    """
    if given is None:
        raise Refusal(428, "The request does not say which revision it changes (If-Match).")
    said = given.strip().removeprefix("W/").strip('"')
    if said == "*":
        return True
    if not said.isdecimal() or len(said) > 18:
        raise Refusal(400, f"If-Match: got {said!r}, expected the number of a revision, or *.")
    return int(said) == revision


project_routes = APIRouter(tags=["project"])


@project_routes.get("/project")
def read_project(services: Use) -> ProjectState:
    """The project as a whole."""
    project = services.project
    return project_state(project, services.engines)


@project_routes.patch("/project")
def change_project(services: Use, change: ProjectChange, if_match: IfMatch = None) -> ProjectState:
    """Change task, engine, classes or settings; an engine of null is the best for the task.

    An engine is loaded before it counts: one that cannot be is refused, and the earlier one stays.
    """
    project = services.project
    changes = {name: getattr(change, name) for name in change.model_fields_set}
    for name in ("task", "classes", "settings"):
        if name in changes and changes[name] is None:
            del changes[name]
    _check_change(changes)
    _check_revision(services, if_match)
    if changes.get("engine") is not None:
        changes["engine"] = services.engines.choose(changes["engine"])  # may take a while
    with project.lock:
        _check_revision(services, if_match)
        project.change(**changes)
        if changes.keys() & {"task", "engine"}:
            services.answering.drop()
    services.events.tell("project", revision=project.file.revision)
    return project_state(project, services.engines)


def _check_revision(services: Services, if_match: str | None) -> None:
    if not check_match(if_match, services.project.file.revision):
        raise Refusal(
            409,
            "The project was changed elsewhere, perhaps in another tab.",
            project_state(services.project, services.engines).model_dump(mode="json"),
        )


@project_routes.post("/answers", status_code=202)
def start_answers(services: Use, wish: Ask) -> Asked:
    """Answer images by the present examples, the open one first; drops what waited before."""
    if wish.scope == "open" and wish.image is None:
        raise Refusal(422, "image: say which one is open.")
    return Asked(total=services.answering.ask(wish.scope, wish.image))


@project_routes.delete("/answers", status_code=204)
def cancel_answers(services: Use) -> Response:
    """Drop what waits for an answer."""
    services.answering.drop()
    return Response(status_code=204)


@project_routes.get("/events", response_class=StreamingResponse)
async def events(services: Use) -> StreamingResponse:
    """News as server-sent events: answers, progress, changes of the project, errors."""
    return StreamingResponse(
        services.events.listen(),
        media_type="text/event-stream",
        headers={"cache-control": "no-store"},
    )


@project_routes.get("/score")
def score(services: Use) -> Score:
    """The expected score by leaving one example out, beside the Copy floor's."""
    return services.scoring.score()


@project_routes.get("/engines")
def list_engines(services: Use) -> EngineList:
    """All engines: the package's, this machine's, and what others there are and need."""
    return EngineList(engines=services.engines.all())


@project_routes.get("/engines/try")
def estimate_trial(services: Use) -> Trial:
    """How long trying all engines takes, roughly."""
    return services.trying.estimate()


@project_routes.post("/engines/try", status_code=202)
def begin_trial(services: Use) -> Trial:
    """Try all engines on the examples, by leaving one out; results come as events."""
    return services.trying.begin()


@project_routes.delete("/engines/try", status_code=204)
def cancel_trial(services: Use) -> Response:
    """End trying, at the next image."""
    services.trying.cancel()
    return Response(status_code=204)


def _check_change(changes: dict[str, object]) -> None:
    """Refuse classes that stand twice, and settings that cannot be."""
    classes = changes.get("classes")
    if isinstance(classes, tuple):
        for what in ("id", "name"):
            values = [getattr(one, what) for one in classes]
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise Refusal(422, f"classes: the {what} {twice!r} stands twice.")
    settings = changes.get("settings")
    if isinstance(settings, dict):
        try:
            PromptSettings.of(settings)
        except TypeError as error:
            raise Refusal(422, f"settings: {error}") from error
