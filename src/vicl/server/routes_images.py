"""Routes of images: what there is, its pictures, edits, status and answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, File, Query, Request, Response

from vicl.images import ImageError, open_bytes
from vicl.server import pictures
from vicl.server.hinting import ENGINE
from vicl.server.names import plainly, safe_name
from vicl.server.problems import Refusal
from vicl.server.project import Project, png
from vicl.server.prompts import MARKED, prompt_state
from vicl.server.routes_project import IfMatch, check_match
from vicl.server.schemas import (
    Added,
    AnswerFacts,
    Clicks,
    Edit,
    Edited,
    Edits,
    Found,
    Item,
    Items,
    SentFile,
    StatusChange,
    Stroke,
)
from vicl.server.services import Services, Use
from vicl.server.states import item
from vicl.server.stepping import take_answer
from vicl.server.worker import Urgency

Longest = Annotated[int | None, Query(alias="max", ge=16, le=pictures.LARGEST)]


list_routes = APIRouter(tags=["images"])


@list_routes.get("/images")
def list_images(
    services: Use,
    sort: Literal["name", "unsure"] = "name",
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> Items:
    """A page of the images: by name, or the least sure first."""
    project = services.project
    with project.lock:
        if offset == 0:
            project.rescan()
        state = prompt_state(project)
        ids = sorted(project.images, key=lambda image: (project.images[image].name, image))
        if sort == "unsure":
            facts = {image: project.facts(image) for image in ids}
            ids.sort(key=lambda image: _sureness(facts[image]))
        shown = ids[offset : offset + limit]
        return Items(total=len(ids), items=tuple(item(project, image, state) for image in shown))


@list_routes.post("/images", status_code=201)
def add_images(services: Use, files: Annotated[list[SentFile], File(max_length=1000)]) -> Added:
    """Add images that were dropped; those that are none come back with why."""
    project = services.project
    added = []
    for file in files:
        name, data = file.filename or "image", file.file.read()
        try:
            open_bytes(data, safe_name(name))
        except ImageError as error:
            added.append(_refused(name, len(data), error))
            continue
        image = project.add_upload(name, data)
        added.append(item(project, image, prompt_state(project)))
    services.events.tell("project", revision=project.file.revision)
    return Added(items=tuple(added))


picture_routes = APIRouter(prefix="/images/{image}", tags=["pictures"])


def _seen(services: Services, request: Request, image: str, longest: int) -> Response:
    project = services.project
    entry = project.whole(image)
    tag = f'"{entry.stamp:x}-{entry.bytes:x}-{longest}"'
    headers = {"cache-control": "no-cache", "etag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    try:
        data = pictures.as_jpeg(project.path(image), longest)
    except ImageError as error:
        project.break_(image, error)
        named = plainly(error, project.path(image), project.entry(image).name)
        raise Refusal(409, named) from error
    return Response(data, media_type="image/jpeg", headers=headers)


def _stored(services: Services, image: str, name: str, why: str, longest: int | None) -> Response:
    project = services.project
    path = project.file_of(image, name)
    if not path.is_file():
        raise Refusal(404, why)
    return _png(pictures.stored_png(path, longest))


@picture_routes.get("/thumbnail", response_class=Response)
def thumbnail(services: Use, request: Request, image: str) -> Response:
    """A JPEG, no side longer than 256 pixels."""
    return _seen(services, request, image, pictures.THUMBNAIL)


@picture_routes.get("/picture", response_class=Response)
def picture(services: Use, request: Request, image: str, longest: Longest = 2048) -> Response:
    """The image as browsers read it, whatever the file is."""
    return _seen(services, request, image, longest or 2048)


@picture_routes.get("/marks", response_class=Response)
def marks(services: Use, image: str, request: Request, longest: Longest = None) -> Response:
    """Index mask as gray PNG: 255 unknown, 0 ground, else the class's id."""
    project = services.project
    with project.lock:
        edits = project.edits(image)
        tag, values = f'"{edits.revision}"', edits.marks.copy()
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    return _png(pictures.index_png(values, longest), etag=tag)


@picture_routes.get("/output", response_class=Response)
def output(services: Use, image: str, longest: Longest = None) -> Response:
    """The output picture of an example."""
    return _stored(services, image, "output.png", "This image has no output picture.", longest)


@picture_routes.get("/answer", response_class=Response)
def answer(services: Use, image: str, longest: Longest = None) -> Response:
    """The last answer: an index mask as gray PNG (of detection, of filled boxes), or a picture."""
    return _stored(services, image, "answer.png", "This image has no answer yet.", longest)


@picture_routes.get("/answer.json")
def answer_facts(services: Use, image: str) -> AnswerFacts:
    """What is told of the last answer."""
    project = services.project
    project.entry(image)
    facts = project.facts(image)
    if facts is None:
        raise Refusal(404, "This image has no answer yet.")
    return facts


@picture_routes.get("/confidence", response_class=Response)
def confidence(services: Use, image: str, longest: Longest = None) -> Response:
    """How sure the engine is of each pixel: gray PNG, 255 is sure."""
    return _stored(
        services, image, "confidence.png", "The engine did not say how sure it is here.", longest
    )


@picture_routes.get("/canvas", response_class=Response)
def canvas(services: Use, image: str) -> Response:
    """What the model saw, for engines with a canvas."""
    project = services.project
    project.whole(image)
    data = services.answering.run(Urgency.ASKED, lambda: services.answering.canvas(image))
    return _png(data)


edit_routes = APIRouter(prefix="/images/{image}", tags=["edits"])


@edit_routes.get("/edits")
def read_edits(services: Use, image: str) -> Edits:
    """The strokes that count."""
    project = services.project
    with project.lock:
        return project.edits(image).state()


@edit_routes.post("/edits")
def edit(services: Use, image: str, edit: Edit, if_match: IfMatch = None) -> Edited:
    """Commit a stroke or a step; it is on the disk when the reply comes."""
    project = services.project
    with project.lock:
        edits = project.edits(image)
        if edits.knows(edit.key):
            return _told(project, image, edits.unchanged())
        if not check_match(if_match, edits.revision):
            raise Refusal(
                409,
                "The marks were changed elsewhere, perhaps in another tab.",
                edits.state().model_dump(mode="json", by_alias=True),
            )
        if isinstance(edit, Stroke):
            ids = project.class_ids()
            if edit.class_ not in (None, 0, *ids):
                raise Refusal(422, f"class: got {edit.class_}, expected one of {[0, *ids]}.")
            locked = tuple(one.id for one in project.file.classes if one.locked)
            edit = edit.model_copy(update={"locked": locked})
        elif edit.op == "take-answer":
            edit = take_answer(project, image, edit.key)
        done = edits.apply(edit)
        done = _told(project, image, done)
        facts = project.facts(image)
        if facts is not None and facts.engine == ENGINE and not edits.hints():
            project.drop_answer(image)
    services.worker.submit(Urgency.LATER, lambda: project.save_marks(image, done.revision))
    return done


def _told(project: Project, image: str, done: Edited) -> Edited:
    """What an edit did, with whether anything is marked, by strokes past taking back too."""
    return done.model_copy(update={"marked": project.is_marked(image)})


@edit_routes.post("/candidates")
def candidates(services: Use, image: str, clicks: Clicks) -> Found:
    """Three masks that clicks may mean, best first."""
    return services.clicking.candidates(image, clicks)


@edit_routes.put("/status")
def change_status(
    services: Use, image: str, change: StatusChange, if_match: IfMatch = None
) -> Item:
    """Accept, skip, reject, say that nothing is here; make it an example or not.

    What an example with hints shows is what they make of it.
    """
    project = services.project
    project.whole(image)
    if change.example and project.is_hinted(image):
        services.answering.run(Urgency.ASKED, lambda: services.answering.show_hinted(image))
    with project.lock:
        _check_item(services, image, if_match)
        changes = change.model_dump(exclude_none=True)
        _check_example(project, image, change)
        project.set_status(image, **changes)
        return item(project, image, prompt_state(project))


@edit_routes.put("/output")
def put_output(
    services: Use, image: str, file: Annotated[SentFile, File()], if_match: IfMatch = None
) -> Item:
    """Give the image's output picture: it is then an example."""
    project = services.project
    picture = open_bytes(file.file.read(), safe_name(file.filename or "output"))
    with project.lock:
        project.whole(image)
        _check_item(services, image, if_match)
        if (picture.height, picture.width) != project.size(image):
            height, width = project.size(image)
            raise Refusal(
                422,
                f"The output is {picture.width}x{picture.height} pixels, the image is "
                f"{width}x{height}; they must be equal.",
            )
        project.keep_output(image, png(picture))
        project.set_status(image, example=True)
        return item(project, image, prompt_state(project))


@edit_routes.delete("/output")
def delete_output(services: Use, image: str, if_match: IfMatch = None) -> Item:
    """Take the output picture away."""
    project = services.project
    with project.lock:
        project.whole(image)
        _check_item(services, image, if_match)
        project.keep_output(image, None)
        project.set_status(image, example=False)
        return item(project, image, prompt_state(project))


def _check_example(project: Project, image: str, change: StatusChange) -> None:
    """Refuse to make an example of what shows nothing."""
    if not change.example:
        return
    name = project.entry(image).name
    if project.file.task in MARKED:
        nothing = (change.status or project.status(image).status) == "nothing"
        if not nothing and not project.is_marked(image):
            boxes = project.file.task == "detection"
            lacks, remedy = ("boxes", "draw one") if boxes else ("marks", "mark a part of it")
            raise Refusal(
                409,
                f"{name}: has no {lacks}, so it shows nothing; {remedy}, or say that nothing is "
                "here.",
            )
    elif project.file.task != "colorization" and not project.has_output(image):
        raise Refusal(409, f"{name}: has no output picture; give it one.")


def _check_item(services: Services, image: str, if_match: str | None) -> None:
    project = services.project
    if not check_match(if_match, project.status(image).revision):
        raise Refusal(
            409,
            "The image was changed elsewhere, perhaps in another tab.",
            item(project, image, prompt_state(project)).model_dump(mode="json"),
        )


def _sureness(facts: AnswerFacts | None) -> tuple[bool, float]:
    """Least sure first; what has no answer comes last."""
    if facts is None or facts.confidence is None:
        return True, 0.0
    return False, facts.confidence


def _png(data: bytes, *, etag: str | None = None) -> Response:
    headers = {"cache-control": "no-cache"} | ({} if etag is None else {"etag": etag})
    return Response(data, media_type="image/png", headers=headers)


def _refused(name: str, size: int, error: Exception) -> Item:
    """A file that was sent and is no image: it is not kept."""
    return Item(
        id="",
        name=Path(safe_name(name)).name,
        width=0,
        height=0,
        bytes=size,
        broken=str(error),
        revision=0,
        status="open",
        example=False,
        marked=False,
        output=False,
        confidence=None,
        presence=None,
        answer_revision=None,
        stale=False,
    )
