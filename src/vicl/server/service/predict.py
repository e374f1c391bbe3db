"""`POST /v1/predict`: queries in, answers out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import APIRouter, Request, Response

from vicl.exports.answers import Answer
from vicl.files import display
from vicl.images import ImageError
from vicl.server.problems import Refusal
from vicl.server.service.asking import fields_of, prompt_of
from vicl.server.service.batcher import Prompted
from vicl.server.service.leaving import unless_left
from vicl.server.service.replies import png_of, prediction, zip_of
from vicl.server.service.schemas import PredictFields, Predictions
from vicl.server.service.service import Service, Use
from vicl.server.service.uploads import Upload, check_pictures, read_form

predict_routes = APIRouter(tags=["predict"])

_FILE = {"type": "string", "format": "binary"}
_FILES = {
    "query": "Pictures to answer.",
    "example_input": "Inputs of examples, where no `prompt` is named.",
    "example_output": "Their outputs, in the same order: pictures, or masks.",
}


def _form() -> dict[str, Any]:
    """How OpenAPI describes the form."""
    schema = PredictFields.model_json_schema(ref_template="#/components/schemas/{model}")
    files = {
        name: {"type": "array", "items": _FILE, "description": text}
        for name, text in _FILES.items()
    }
    words = schema["properties"]
    return {
        "type": "object",
        "properties": files | words,
        "required": ["query"],
        "additionalProperties": False,
    }


_ANSWERED = {
    "description": "The answers, as `format` says",
    "model": Predictions,
    "content": {
        "application/json": {
            "example": {
                "prompt": "leaf",
                "engine": "matching",
                "task": "segmentation",
                "seconds": 0.41,
                "answers": [
                    {
                        "query": "a.jpg",
                        "size": [480, 640],
                        "confidence": 0.97,
                        "presence": 0.99,
                        "classes": [{"number": 1, "name": "leaf", "area": 0.21, "score": 0.94}],
                        "boxes": [],
                        "rle": [{"class": "leaf", "size": [480, 640], "counts": "\\b8c1"}],
                    }
                ],
            }
        },
        "image/png": {"schema": _FILE},
        "application/zip": {"schema": _FILE},
    },
}


@predict_routes.post(
    "/predict",
    summary="Answer pictures by a prompt",
    response_class=Response,
    responses={200: _ANSWERED},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": _form(),
                    "example": {"query": ["(bytes of a.jpg)"], "prompt": "leaf", "pixels": "rle"},
                }
            },
        }
    },
)
async def predict(request: Request, service: Use) -> Response:
    """Answer one or many pictures, all or none.

    Name a prompt file that the service has loaded, or send examples with the queries:

        curl -F query=@a.jpg -F prompt=leaf -F format=png http://localhost:8472/v1/predict -o a.png

        curl -F query=@a.jpg -F example_input=@in.jpg -F example_output=@mask.png
        -F task=segmentation -F pixels=rle http://localhost:8472/v1/predict
    """
    started = time.monotonic()
    with TemporaryDirectory(dir=service.folder) as folder:
        with service.reading():
            form = await read_form(request, service.settings, Path(folder))
        fields, prompt, queries = await asyncio.to_thread(_asked, service, form)
        seconds = min(fields.timeout or service.settings.deadline, service.settings.deadline)
        images = [one.path for one in queries]
        try:
            answers = await unless_left(request, service.answer(prompt, images, started + seconds))
        except ValueError as error:
            raise _by_name(error, queries) from error
        return await asyncio.to_thread(_reply, prompt, fields, queries, answers, started)


def _asked(service: Service, form: Any) -> tuple[PredictFields, Prompted, Sequence[Upload]]:
    fields = fields_of(form)
    queries = form.files.get("query", [])
    if not queries:
        raise Refusal(422, "query: is missing; send at least one picture.")
    if len(queries) > 1 and fields.format == "png":
        raise Refusal(422, f"format: png is of one query, and {len(queries)} came; ask for zip.")
    if len(queries) > service.settings.queue:
        raise Refusal(413, f"query: at most {service.settings.queue} at once; send less.")
    check_pictures(queries, service.settings.limit_pixels)
    return fields, prompt_of(service, form, fields), queries


def _by_name(error: ValueError, queries: Sequence[Upload]) -> Exception:
    """An error of a query, by the name that the sender knows it by."""
    text = str(error)
    for query in queries:
        text = text.replace(display(query.path), query.name)
    return Refusal(422, text) if isinstance(error, ImageError) else ValueError(text)


def _reply(
    prompt: Prompted,
    fields: PredictFields,
    queries: Sequence[Upload],
    answers: Sequence[Answer],
    started: float,
) -> Response:
    prompter = prompt.prompter()
    task = prompter.task
    if fields.format == "png":
        return Response(png_of(answers[0], task), media_type="image/png")
    names = [query.name for query in queries]
    pixels = "none" if fields.format == "zip" else fields.pixels
    told = Predictions(
        prompt=prompt.name or None,
        engine=prompter.model.name,
        task=task.name,
        seconds=round(time.monotonic() - started, 3),
        answers=tuple(
            prediction(name, answer, task, pixels)
            for name, answer in zip(names, answers, strict=True)
        ),
    )
    if fields.format == "zip":
        return Response(zip_of(names, answers, task, told), media_type="application/zip")
    text = told.model_dump_json(by_alias=True, exclude_none=True)
    return Response(text, media_type="application/json")
