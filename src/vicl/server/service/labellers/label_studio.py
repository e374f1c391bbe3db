"""`/label-studio/PROMPT`: the protocol of Label Studio's machine learning backends.

Label Studio is told the address `http://HOST:PORT/label-studio/PROMPT`, asks `health` and `setup`
when it is connected, `predict` for tasks, and tells `webhook` what people did.

Source: https://labelstud.io/guide/ml_create and https://labelstud.io/guide/predictions.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import vicl
from vicl.exports.answers import Answer
from vicl.files.faults import said
from vicl.server.names import plainly
from vicl.server.problems import Refusal
from vicl.server.service.batcher import Prompted
from vicl.server.service.labellers.brush import encode_brush
from vicl.server.service.labellers.config import Control, control_of
from vicl.server.service.labellers.pictures import from_place
from vicl.server.service.labellers.prompts import One, json_of
from vicl.server.service.labellers.things import Thing, things_of
from vicl.server.service.leaving import unless_left
from vicl.server.service.service import Use
from vicl.server.service.uploads import Upload, check_pictures, read_json

label_studio_routes = APIRouter(prefix="/label-studio/{prompt}", tags=["labellers"])

_UP: Final = {"status": "UP", "model_class": "vicl"}


class _Open(BaseModel):
    """What Label Studio sends; it may send more than is read."""

    model_config = ConfigDict(extra="ignore")


class Setup(_Open):
    """A project that is connected: its labelling interface as `schema`."""

    project: str | int | None = None
    config: str = Field(alias="schema", max_length=1 << 20)


class Task(_Open):
    """An image of a project, in `data` under the key that its labelling interface names."""

    id: int | str | None = None
    data: dict[str, Any]


class Context(_Open):
    """What a person has just drawn, where a project asks interactively."""

    result: list[Any] | None = None


class Params(_Open):
    """Beside the tasks."""

    context: Context | None = None


class Predict(_Open):
    """Tasks to answer."""

    tasks: list[Task] = Field(min_length=1)
    label_config: str = Field(max_length=1 << 20)
    params: Params | None = None


_CONFIG: Final = (
    '<View><Image name="image" value="$image"/><BrushLabels name="tag" toName="image">'
    '<Label value="leaf"/></BrushLabels></View>'
)
_TASK: Final = {"id": 7, "data": {"image": "/data/local-files/?d=photos/a.jpg"}}
_RESULT: Final = {
    "id": "vicl-1",
    "from_name": "tag",
    "to_name": "image",
    "type": "brushlabels",
    "original_width": 640,
    "original_height": 480,
    "image_rotation": 0,
    "value": {"format": "rle", "rle": [0, 0, 1], "brushlabels": ["leaf"]},
    "score": 0.97,
}
_RESULTS: Final = {
    "results": [{"model_version": "leaf-3f9a1c02", "score": 0.97, "result": [_RESULT]}],
    "model_version": "leaf-3f9a1c02",
}


@label_studio_routes.get("/health", summary="Whether it answers", responses=json_of(_UP))
@label_studio_routes.get("", include_in_schema=False)
def health(prompt: One) -> dict[str, str]:
    """Label Studio asks this when it is connected, and now and then."""
    return _UP


@label_studio_routes.post(
    "/setup",
    summary="Connect a project",
    responses=json_of({"model_version": "leaf-3f9a1c02"}),
    openapi_extra=json_of(Setup, {"project": "1.1700000000", "schema": _CONFIG}),
)
async def setup(request: Request, service: Use, prompt: One) -> dict[str, str]:
    """Refused where the project's labelling interface cannot hold the prompt's answers."""
    with service.reading():
        sent = _read(Setup, await read_json(request, service.settings))
    _control(prompt, sent.config)
    return {"model_version": _version(prompt)}


@label_studio_routes.post(
    "/predict",
    summary="Answer tasks",
    responses=json_of(_RESULTS),
    openapi_extra=json_of(Predict, {"tasks": [_TASK], "label_config": _CONFIG}),
)
async def predict(request: Request, service: Use, prompt: One) -> dict[str, Any]:
    """Answer all tasks, or none: an image that cannot be opened refuses the request.

    A brush takes a mask of each class, polygons and rectangles each thing by itself.
    """
    started = time.monotonic()
    with service.reading():
        sent = _read(Predict, await read_json(request, service.settings))
    if sent.params is not None and sent.params.context is not None and sent.params.context.result:
        raise Refusal(
            422,
            "params.context: what a person has drawn is not answered; switch off interactive "
            "preannotations of this model.",
        )
    if len(sent.tasks) > min(service.settings.files, service.settings.queue):
        most = min(service.settings.files, service.settings.queue)
        raise Refusal(413, f"tasks: at most {most} at once; have Label Studio send less.")
    control = _control(prompt, sent.label_config)
    with TemporaryDirectory(dir=service.folder) as place:

        def opened() -> list[Upload]:
            limits = service.settings
            found = [
                from_place(_image(task, control), _called(task), Path(place) / str(number), limits)
                for number, task in enumerate(sent.tasks)
            ]
            check_pictures(found, limits.limit_pixels)
            return found

        queries = await asyncio.to_thread(opened)
        until = started + service.settings.deadline
        answering = service.answer(prompt, [one.path for one in queries], until)
        try:
            answers = await unless_left(request, answering)
        except ValueError as error:
            told: Exception = error
            for query, task in zip(queries, sent.tasks, strict=True):
                told = ValueError(plainly(told, query.path, _called(task)))
            raise told from error
        return await asyncio.to_thread(_results, prompt, control, answers)


@label_studio_routes.post(
    "/webhook",
    summary="What people did",
    responses=json_of({"status": "ok", "detail": "vicl learns nothing from annotations ..."}),
    openapi_extra=json_of(None, {"action": "ANNOTATION_CREATED", "project": {"id": 1}}),
)
async def webhook(request: Request, service: Use, prompt: One) -> dict[str, str]:
    """Taken, so that Label Studio tells of no error; nothing is learned from it."""
    with service.reading():
        sent = await read_json(request, service.settings)
    if not isinstance(sent, dict) or not isinstance(sent.get("action"), str):
        raise Refusal(422, "action: is missing; Label Studio says what happened.")
    if sent["action"] == "START_TRAINING":
        raise Refusal(
            422, "A prompt is not trained: make a new one of more examples, and load that."
        )
    return {
        "status": "ok",
        "detail": "vicl learns nothing from annotations; make a new prompt of more examples.",
    }


def _read(kind: type[Any], sent: Any) -> Any:
    try:
        return kind.model_validate(sent)
    except ValidationError as error:
        raise Refusal(422, said(error)) from error


def _control(prompt: Prompted, config: str) -> Control:
    task = prompt.prompter().task
    if not task.classes:
        raise Refusal(
            422, f"The prompt {prompt.name} answers pictures ({task.name}), which are no labels."
        )
    return control_of(config, boxes=task.name == "detection", classes=task.classes)


def _called(task: Task) -> str:
    return f"task {task.id}"


def _image(task: Task, control: Control) -> str:
    value = task.data.get(control.key)
    if not isinstance(value, str) or not value:
        raise Refusal(422, f"{_called(task)}: data has no image under {control.key[:80]!r}.")
    return value


def _version(prompt: Prompted) -> str:
    """A name that changes with the prompt: Label Studio tells predictions apart by it."""
    made_by = json.dumps(prompt.prompter().made_by(), sort_keys=True)
    return f"{prompt.name}-{hashlib.sha256((vicl.__version__ + made_by).encode()).hexdigest()[:8]}"


def _results(prompt: Prompted, control: Control, answers: Sequence[Answer]) -> dict[str, Any]:
    version = _version(prompt)
    results = []
    for answer in answers:
        found: dict[str, Any] = {
            "model_version": version,
            "result": [
                _region(number, thing, answer, control)
                for number, thing in enumerate(_things(answer, control), start=1)
            ],
        }
        if answer.confidence is not None:
            found["score"] = round(float(answer.confidence.mean()), 4)
        results.append(found)
    return {"results": results, "model_version": version}


def _things(answer: Answer, control: Control) -> Sequence[Thing]:
    whole = control.kind == "BrushLabels"
    return things_of(
        answer,
        instances="class" if whole else "components",
        outlines=control.kind == "PolygonLabels",
    )


def _region(number: int, thing: Thing, answer: Answer, control: Control) -> dict[str, Any]:
    height, width = answer.size
    kind = control.kind.lower()
    region: dict[str, Any] = {
        "id": f"vicl-{number}",
        "from_name": control.name,
        "to_name": control.image,
        "type": kind,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            **_value(thing, control, height, width),
            kind: [control.label_of(thing.name, answer.classes)],
        },
    }
    if thing.score is not None:
        region["score"] = round(thing.score, 4)
    return region


def _value(thing: Thing, control: Control, height: int, width: int) -> dict[str, Any]:
    """Where a thing is; numbers are percent of the image's sides."""
    if control.kind == "BrushLabels":
        assert thing.pixels is not None
        return {"format": "rle", "rle": encode_brush(thing.pixels, (height, width))}
    across, down = 100 / width, 100 / height
    if control.kind == "PolygonLabels":
        assert thing.outline is not None
        return {
            "points": [[x * across, y * down] for x, y in thing.outline.tolist()],
            "closed": True,
        }
    x0, y0, x1, y1 = thing.box
    return {
        "x": x0 * across,
        "y": y0 * down,
        "width": (x1 - x0) * across,
        "height": (y1 - y0) * down,
        "rotation": 0,
    }
