"""Routes of the project as a whole: its state, answers, events and score."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse

from vicl.prompting.settings import PromptSettings
from vicl.server.problems import Refusal
from vicl.server.schemas import Ask, Asked, ProjectChange, ProjectState, Score, Trial
from vicl.server.services import Use
from vicl.server.states import project_state
from vicl.server.trying import estimate, try_engines

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
    return project_state(project)


@project_routes.patch("/project")
def change_project(services: Use, change: ProjectChange, if_match: IfMatch = None) -> ProjectState:
    """Change task, engine, classes or settings; an engine of null is the best for the task."""
    project = services.project
    with project.lock:
        if not check_match(if_match, project.file.revision):
            raise Refusal(
                409,
                "The project was changed elsewhere, perhaps in another tab.",
                project_state(project).model_dump(mode="json"),
            )
        changes = {name: getattr(change, name) for name in change.model_fields_set}
        for name in ("task", "classes", "settings"):
            if name in changes and changes[name] is None:
                del changes[name]
        _check_change(changes)
        project.change(**changes)
    services.events.tell("project", revision=project.file.revision)
    return project_state(project)


@project_routes.post("/answers", status_code=202)
def start_answers(services: Use, wish: Ask) -> Asked:
    """Answer images by the present examples, the open one first; drops what waited before."""
    if wish.scope == "open" and wish.image is None:
        raise Refusal(422, "image: say which one is open.")
    return Asked(total=services.answering.ask(wish.scope, wish.image))


@project_routes.delete("/answers", status_code=204)
def cancel_answers(services: Use) -> Response:
    """Drop what waits for an answer."""
    services.answering.cancel()
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
    return services.answering.score()


@project_routes.get("/engines/try")
def estimate_trial(services: Use) -> Trial:
    """How long trying all engines takes, roughly."""
    return estimate(services)


@project_routes.post("/engines/try", status_code=202)
def begin_trial(services: Use) -> Trial:
    """Try all engines on the examples, by leaving one out; results come as events."""
    return try_engines(services)


def _check_change(changes: dict[str, object]) -> None:
    """Refuse classes that stand twice, settings and engines that cannot be."""
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
    engine = changes.get("engine")
    if isinstance(engine, str):
        from vicl.models.registry import ENGINES

        names = [row.name for row in ENGINES]
        if engine not in names:
            raise Refusal(422, f"engine: got {engine!r}, expected one of {', '.join(names)}.")
