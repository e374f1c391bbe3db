"""`/v1/jobs`: a zip of images in, and out a zip of what `vicl predict --prompt` writes."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import secrets
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final, Literal, cast

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vicl.files.faults import said
from vicl.prompting.prompter import VisualPrompter
from vicl.server.problems import Refusal
from vicl.server.service.jobs.intake import RESULT, clear, take_in
from vicl.server.service.jobs.store import Job, State, Store, check_room
from vicl.server.service.keys import given_key
from vicl.server.service.service import Service, Use
from vicl.server.service.uploads import Form, read_form

job_routes = APIRouter(tags=["jobs"])

_UPLOAD: Final = 1 << 30
_SECONDS: Final = 900.0
"""Bytes of one zip, and seconds within which it has come."""
_TOLD: Final = 1000
"""Failed images that are told of one by one."""


class JobFields(BaseModel):
    """The words of a form to `/v1/jobs`, beside its zip."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(max_length=200, description="A prompt file that the service has loaded.")
    format: Literal["png", "coco", "coco-polygons", "yolo", "yolo-boxes", "labelme", "voc"] = Field(
        default="png", description="Of the answers, as `vicl predict --format` has it."
    )


class Failure(BaseModel):
    """An image that was not answered, and why."""

    name: str
    error: str


_FACTS: Final[dict[str, Any]] = {
    "id": "0f3a8f0a4c1be0d1b7a35f1e1c8b2d90",
    "state": "running",
    "prompt": "leaf",
    "format": "png",
    "total": 1200,
    "done": 340,
    "failed": 1,
    "created": "2026-11-29T18:00:00Z",
    "finished": None,
    "expires": None,
    "error": None,
    "failures": [{"name": "a/broken.jpg", "error": "a/broken.jpg: is no image"}],
}


class JobFacts(BaseModel):
    """A job, as it stands."""

    id: str
    state: State
    prompt: str
    format: str
    total: int = Field(description="How many images it has.")
    done: int = Field(description="How many are answered.")
    failed: int = Field(description="How many cannot be.")
    created: datetime
    finished: datetime | None
    expires: datetime | None = Field(description="When it is deleted, with its result.")
    error: str | None = Field(description="What it failed of, or waits for.")
    failures: tuple[Failure, ...] = Field(description=f"The failed images, at most {_TOLD}.")


class Jobs(BaseModel):
    """All jobs of the key that asks, the newest first."""

    jobs: tuple[JobFacts, ...]


def _example(value: Any, code: int = 200) -> dict[int | str, dict[str, Any]]:
    return {code: {"content": {"application/json": {"example": value}}}}


_FORM: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "images": {
                            "type": "string",
                            "format": "binary",
                            "description": "A zip of images, in folders or not.",
                        },
                        **JobFields.model_json_schema()["properties"],
                    },
                    "required": ["images", "prompt"],
                    "additionalProperties": False,
                },
                "example": {"images": "(bytes of photos.zip)", "prompt": "leaf"},
            }
        },
    }
}
_ZIP: Final = {
    "content": {
        "application/zip": {
            "schema": {"type": "string", "format": "binary"},
            "example": "(bytes of answers.zip)",
        }
    },
    "description": "The answers",
}


def _store(request: Request) -> Store:
    found = request.app.state.jobs
    if found is None:
        raise Refusal(
            404,
            "This service takes no jobs; whoever runs it says with --jobs FOLDER where they are "
            "kept.",
        )
    assert isinstance(found, Store)
    return found


def _owner(request: Request, service: Use) -> str:
    """Who asks: a hash of the key; nobody in particular where there are no keys."""
    if not service.settings.keys:
        return ""
    key = given_key(dict(request.scope["headers"]))
    return hashlib.sha256(b"vicl job " + key).hexdigest()


Kept = Annotated[Store, Depends(_store)]
Owner = Annotated[str, Depends(_owner)]


def _job(store: Kept, owner: Owner, id: str) -> Job:
    """A job, which whoever asks has sent."""
    job = store.get(id)
    if job is None or job.owner != owner:
        raise Refusal(404, "There is no such job here; what has ended is deleted after some time.")
    return job


One = Annotated[Job, Depends(_job)]


@job_routes.post(
    "/jobs",
    status_code=202,
    summary="Answer a zip of images",
    openapi_extra=cast(Any, _FORM),
    responses=_example(_FACTS, 202),
)
async def send(
    request: Request, service: Use, store: Kept, owner: Owner, response: Response
) -> JobFacts:
    """Answer many pictures in the background, by a prompt file that the service has loaded.

        curl -F images=@photos.zip -F prompt=leaf -F format=coco http://localhost:8472/v1/jobs

    Then ask `/v1/jobs/ID` how it stands, and `/v1/jobs/ID/result` for the answers. Jobs are
    answered one after another, between requests, and go on after a restart.
    """
    settings = service.settings
    room = {"count": settings.jobs_count, "most": settings.jobs_bytes}
    jobs, held = await asyncio.to_thread(store.held)
    check_room(jobs, held, **room)
    limits = dataclasses.replace(settings, body_bytes=_UPLOAD, body_seconds=_SECONDS, files=1)
    with store.coming(), TemporaryDirectory(dir=service.folder) as place:
        form = await read_form(request, limits, Path(place))
        fields = _fields(form)
        _check(service, fields)
        job = await asyncio.to_thread(_taken, store, form, fields, owner, room)
    response.headers["location"] = f"/v1/jobs/{job.id}"
    return await asyncio.to_thread(_facts, service, store, job)


@job_routes.get("/jobs", summary="All jobs", responses=_example({"jobs": [_FACTS]}))
def every(service: Use, store: Kept, owner: Owner) -> Jobs:
    """The jobs that were sent with the same key, without their failures."""
    return Jobs(jobs=tuple(_facts(service, store, job, told=0) for job in store.of(owner)))


@job_routes.get("/jobs/{id}", summary="How a job stands", responses=_example(_FACTS))
def one(service: Use, store: Kept, job: One) -> JobFacts:
    """Ask every few seconds, and no more often."""
    return _facts(service, store, job)


@job_routes.get(
    "/jobs/{id}/result", summary="A job's answers", response_class=Response, responses={200: _ZIP}
)
def result(store: Kept, job: One) -> Response:
    """A zip of the files that `vicl predict --prompt` writes, byte for byte.

    Images that could not be answered are missing; `/v1/jobs/ID` says which, and why.
    """
    path = store.folder / job.id / RESULT
    if job.state != "done":
        raise Refusal(409, f"The job is {job.state}: there is a result once it is done.")
    return FileResponse(path, media_type="application/zip", filename=f"vicl-{job.id}.zip")


@job_routes.post("/jobs/{id}/cancel", summary="Stop a job", responses=_example(_FACTS))
def cancel(service: Use, store: Kept, job: One) -> JobFacts:
    """What it has answered is lost; a job that has ended stays as it is."""
    store.cancel(job.id)
    now = store.get(job.id) or job
    if now.finished is not None:
        clear(store.folder / job.id)
    return _facts(service, store, now)


@job_routes.delete("/jobs/{id}", status_code=204, summary="Delete a job")
def delete(store: Kept, job: One) -> Response:
    """It is stopped, and its images and answers are removed."""
    store.delete(job.id)
    shutil.rmtree(store.folder / job.id, ignore_errors=True)  # its worker removes what it adds
    return Response(status_code=204)


def _fields(form: Form) -> JobFields:
    for name in form.files:
        if name != "images":
            raise Refusal(422, f"{name[:80]!a} came as a file; there is one file, images.")
    if "images" in form.fields:
        raise Refusal(422, "images: came without a file name; send it as a file.")
    if "images" not in form.files:
        raise Refusal(422, "images: is missing; send a zip of images.")
    for name, values in form.fields.items():
        if len(values) > 1:
            raise Refusal(422, f"{name[:80]!a} came more than once; send it once.")
    try:
        return JobFields.model_validate({name: values[0] for name, values in form.fields.items()})
    except ValidationError as error:
        raise Refusal(422, said(error)) from error


def _check(service: Service, fields: JobFields) -> None:
    """Refuse what could only fail later.

    Raises:
        Refusal: Then.
    """
    if fields.prompt not in service.prompts:
        there = ", ".join(service.prompts) or "none"
        raise Refusal(422, f"prompt: there is no {fields.prompt!a} here; there are: {there}.")
    prompter: VisualPrompter = service.prompts[fields.prompt].prompter()
    if fields.format != "png" and not prompter.task.classes:
        raise Refusal(422, f"format: {prompter.task.name} answers are pictures; ask for png.")
    if fields.format.startswith("coco") and prompter.settings.samples > 1:
        raise Refusal(
            422, "format: COCO holds one answer a query, and the prompt draws several samples."
        )


def _taken(store: Store, form: Form, fields: JobFields, owner: str, room: dict[str, int]) -> Job:
    """Keep what was sent, and make it a job: the whole of it, or nothing."""
    id = secrets.token_hex(16)
    folder, place = store.folder / f".new-{id}", store.folder / id
    folder.mkdir(mode=0o700)
    try:
        total, size = take_in(form.files["images"][0], folder, min(_UPLOAD, room["most"]))
        job = Job(
            id, owner, time.time(), "waiting", fields.prompt, fields.format, total, bytes=size
        )
        folder.rename(place)
        store.add(job, **room)
    except BaseException:
        for made in (folder, place):
            shutil.rmtree(made, ignore_errors=True)
        raise
    return job


def _facts(service: Service, store: Store, job: Job, told: int = _TOLD) -> JobFacts:
    failures = store.failures(job.id)
    ended = job.finished
    return JobFacts(
        id=job.id,
        state=job.state,
        prompt=job.prompt,
        format=job.format,
        total=job.total,
        done=job.done,
        failed=len(failures),
        created=_when(job.created),
        finished=None if ended is None else _when(ended),
        expires=None if ended is None else _when(ended + service.settings.jobs_seconds),
        error=job.error,
        failures=tuple(
            Failure(name=name, error=error) for name, error in list(failures.items())[:told]
        ),
    )


def _when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
