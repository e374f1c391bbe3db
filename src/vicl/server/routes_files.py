"""Routes of what goes in and out as files: exports, prompt files, imports, samples."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, File, Query, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from vicl.server.exporting import export, prompt_bytes
from vicl.server.importing import import_files, open_prompt, sample_sets, use_samples
from vicl.server.prompts import prompt_state
from vicl.server.schemas import Added, ExportWish, Imported, Item, Samples, SampleWish, SentFile
from vicl.server.services import Services, Use
from vicl.server.states import item
from vicl.server.unpacking import unpacked

file_routes = APIRouter(tags=["files"])


def _items(services: Services, images: list[str]) -> tuple[Item, ...]:
    project = services.project
    with project.lock:
        state = prompt_state(project)
        found = tuple(item(project, image, state) for image in dict.fromkeys(images))
    services.events.tell("project", revision=project.file.revision)
    return found


@file_routes.post("/export", response_class=FileResponse)
def make_export(services: Use, wish: ExportWish) -> FileResponse:
    """A zip of masks, overlays and annotations, and the prompt file if it is wished."""
    place = Path(tempfile.mkdtemp(prefix="vicl-export-"))
    try:
        packed = export(services, wish, place)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return FileResponse(
        packed,
        media_type="application/zip",
        filename="vicl-export.zip",
        background=BackgroundTask(shutil.rmtree, place, ignore_errors=True),
    )


@file_routes.get("/prompt", response_class=Response)
def save_prompt(services: Use) -> Response:
    """The prompt file: `vicl predict --prompt` answers by it as the app does."""
    return Response(
        prompt_bytes(services),
        media_type="application/octet-stream",
        headers={"content-disposition": 'attachment; filename="prompt.vicl"'},
    )


@file_routes.post("/prompt", status_code=201)
def read_prompt(services: Use, file: Annotated[SentFile, File()]) -> Added:
    """Open a prompt file: its examples become images of the project."""
    name = file.filename or "prompt.vicl"
    return Added(items=_items(services, open_prompt(services, name, file.file.read())))


@file_routes.post("/import", status_code=201)
def read_annotations(
    services: Use,
    files: Annotated[list[SentFile], File(max_length=1000)],
    kind: Annotated[Literal["examples", "answers"], Query(alias="as")] = "examples",
) -> Imported:
    """Take COCO, YOLO, LabelMe, VOC files or masks, or a zip of them."""
    given = [one for file in files for one in unpacked(file.filename or "", file.file)]
    taken, left_out = import_files(services, given, kind=kind)
    return Imported(items=_items(services, taken), left_out=tuple(left_out))


@file_routes.get("/samples")
def list_samples(services: Use) -> Samples:
    """The photographs that come with the package."""
    return Samples(samples=sample_sets())


@file_routes.post("/samples", status_code=201)
def take_samples(services: Use, wish: SampleWish) -> Added:
    """Put a sample set into the project; its example is marked."""
    return Added(items=_items(services, use_samples(services, wish.name)))
