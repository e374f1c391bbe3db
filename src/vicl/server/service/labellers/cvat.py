"""`/cvat/PROMPT`: what CVAT asks a serverless function that detects, and expects of it.

CVAT asks functions of Nuclio, which hand the body on as it is; docs/serving.md has one.

Source: https://docs.cvat.ai/docs/guides/serverless-tutorial/.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vicl.exports.answers import Answer
from vicl.files.faults import said
from vicl.server.names import plainly
from vicl.server.problems import Refusal
from vicl.server.service.labellers.pictures import from_base64
from vicl.server.service.labellers.prompts import One, json_of
from vicl.server.service.labellers.things import Thing, things_of
from vicl.server.service.leaving import unless_left
from vicl.server.service.service import Use
from vicl.server.service.uploads import read_json

cvat_routes = APIRouter(prefix="/cvat/{prompt}", tags=["labellers"])

Shape = Literal["mask", "polygon", "rectangle"]
_FOUND: Final = [
    {
        "confidence": "0.97",
        "label": "leaf",
        "type": "mask",
        "points": [10.0, 4.0, 12.0, 4.0, 12.0, 5.0, 10.0, 5.0],
        "mask": [1, 1, 10, 4, 11, 4],
    }
]


class Frame(BaseModel):
    """A frame, as CVAT sends it; it may send more than is read."""

    model_config = ConfigDict(extra="ignore")

    image: str = Field(description="The picture's file, in base64.")
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="Things with a lower confidence are left out."
    )


@cvat_routes.post(
    "",
    summary="Answer a frame",
    responses=json_of(_FOUND),
    openapi_extra=json_of(Frame, {"image": "(a.jpg in base64)", "threshold": 0.5}),
)
async def detect(
    request: Request, service: Use, prompt: One, type: Shape | None = None
) -> list[dict[str, Any]]:
    """Answer with every thing by itself: `type` chooses masks (or boxes of detection) or others.

    A mask also has its outline, for tasks that turn masks into polygons.
    """
    started = time.monotonic()
    try:
        with service.reading():
            sent = Frame.model_validate(await read_json(request, service.settings))
    except ValidationError as error:
        raise Refusal(422, said(error)) from error
    task = prompt.prompter().task
    if not task.classes:
        raise Refusal(
            422, f"The prompt {prompt.name} answers pictures ({task.name}), which are no labels."
        )
    boxes = task.name == "detection"
    if boxes and type not in (None, "rectangle"):
        raise Refusal(422, f"type: detection answers rectangles, and no {type}.")
    with TemporaryDirectory(dir=service.folder) as place:
        frame = await asyncio.to_thread(
            from_base64, sent.image, "image", Path(place) / "frame", service.settings
        )
        until = started + service.settings.deadline
        try:
            (answer,) = await unless_left(request, service.answer(prompt, [frame.path], until))
        except ValueError as error:
            raise ValueError(plainly(error, frame.path, "image")) from error
        shape: Shape = type or ("rectangle" if boxes else "mask")
        return await asyncio.to_thread(_found, answer, shape, sent.threshold or 0.0)


def _found(answer: Answer, shape: Shape, least: float) -> list[dict[str, Any]]:
    things: Sequence[Thing] = things_of(
        answer, instances="components", outlines=shape != "rectangle"
    )
    kept = [thing for thing in things if thing.score is None or thing.score >= least]
    return [_item(thing, shape, answer.size[0]) for thing in kept]


def _item(thing: Thing, shape: Shape, height: int) -> dict[str, Any]:
    score = 1.0 if thing.score is None else thing.score
    item: dict[str, Any] = {"confidence": str(round(score, 4)), "label": thing.name, "type": shape}
    if shape == "rectangle":
        return {**item, "points": [float(value) for value in thing.box]}
    assert thing.outline is not None
    item["points"] = thing.outline.ravel().tolist()
    if shape == "mask":
        item["mask"] = _mask(thing, height)
    return item


def _mask(thing: Thing, height: int) -> list[int]:
    """The pixels in the box row by row, then the box: its last column and row are inside."""
    assert thing.pixels is not None
    x0, y0, x1, y1 = (round(value) for value in thing.box)
    columns, rows = np.divmod(thing.pixels, height)
    inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
    inside[rows - y0, columns - x0] = 1
    return [*inside.ravel().tolist(), x0, y0, x1 - 1, y1 - 1]
