"""The project's answers as files of people's tools, by the writers that `vicl predict` uses.

An image that a person neither accepted nor corrected is answered anew by the present prompt, so
that its files are, byte for byte, those of `vicl predict --prompt`. What was accepted stays as it
was accepted, and marks lie over answers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import Any, Final, Literal

import numpy as np
from PIL import Image

from vicl.exports.answers import Answer, Query, as_annotation
from vicl.exports.labelme import write_labelme
from vicl.exports.masks import mask_image
from vicl.exports.overlay import overlay
from vicl.exports.places import distinct_names
from vicl.exports.writers import Writer, open_writer
from vicl.images import open_image, save_image, to_rgb
from vicl.prompting.prompter import VisualPrompter
from vicl.server.answering import needed
from vicl.server.packing import pack
from vicl.server.problems import Refusal
from vicl.server.prompts import (
    MARKED,
    answer_key,
    as_numbers,
    boxes_as_ids,
    labels_of,
    numbered,
    prompt_state,
)
from vicl.server.schemas import ExportFormat, ExportWish, MarkedBox
from vicl.server.services import Services
from vicl.server.stepping import answer_marks
from vicl.server.worker import Urgency
from vicl.tasks.classes import Classes

PROMPT: Final = "prompt.vicl"
_WRITTEN: Final[dict[ExportFormat, str]] = {
    "masks": "png",
    "coco": "coco",
    "coco-polygons": "coco-polygons",
    "yolo": "yolo",
    "voc": "voc",
}
"""Formats that :func:`vicl.exports.writers.open_writer` writes, by its names."""

Take = Callable[[Query, Answer], object]


def export(services: Services, wish: ExportWish, folder: Path) -> Path:
    """Write what is wished below a folder, and pack it.

    Returns:
        The zip; the same answers give the same bytes.

    Raises:
        Refusal: If there is nothing to export, or the task's answers do not go into a format.
    """
    project = services.project
    marked = project.file.task in MARKED
    odd = [name for name in wish.formats if name != "masks" and not marked]
    if odd:
        raise Refusal(409, f"{', '.join(odd)}: the answers of this task are pictures; say masks.")
    odd = [name for name in wish.formats if name in ("indexed", "per-class")]
    if odd and project.file.task == "detection":
        raise Refusal(409, f"{', '.join(odd)}: the answers of this task are boxes, not masks.")
    prompter = _prompter(services)
    queries = _queries(services, wish.which, answered=prompter is not None)
    if not queries:
        what = "No image is accepted yet" if wish.which == "accepted" else "There is no answer"
        raise Refusal(409, f"{what}: {needed(project)}.")
    out = folder / "out"
    out.mkdir()
    if wish.prompt and prompter is not None:
        prompter.save(out / PROMPT)
    classes = Classes.parse([one.name for one in project.file.classes])
    with ExitStack() as opened:
        takes = [
            _taker(
                opened,
                name,
                out,
                list(queries),
                classes if marked else None,
                prompter,
                masks=project.file.task != "detection",
            )
            for name in dict.fromkeys(wish.formats)
        ]
        for query, image in queries.items():
            answer = _final(services, image, prompter)
            for take in takes:
                take(query, answer)
    packed = folder / "vicl-export.zip"
    pack(out, packed)
    return packed


def prompt_bytes(services: Services) -> bytes:
    """The prompt file of the present examples.

    Raises:
        Refusal: If there is no example.
    """

    def save() -> bytes:
        with tempfile.TemporaryDirectory() as place:
            _, prompter = services.answering.prompter()
            prompter.save(Path(place) / PROMPT)
            return (Path(place) / PROMPT).read_bytes()

    return services.answering.run(Urgency.ASKED, save)


def _prompter(services: Services) -> VisualPrompter | None:
    if prompt_state(services.project) is None:
        return None
    return services.answering.run(Urgency.ASKED, services.answering.prompter)[1]


def _queries(
    services: Services, which: Literal["accepted", "all"], *, answered: bool
) -> dict[Query, str]:
    """The images to export, in the order of their files."""
    project = services.project
    found: dict[Query, str] = {}
    with project.lock:
        for image, entry in project.images.items():
            status = project.status(image).status
            kept = status in ("accepted", "nothing")
            wanted = kept if which == "accepted" else status not in ("skipped", "rejected")
            if entry.broken is not None or not wanted:
                continue
            if answered or kept or project.is_marked(image) or project.is_hinted(image):
                found[Query(project.path(image), PurePath(entry.name))] = image
    return dict(sorted(found.items(), key=lambda pair: pair[0].path))


def _final(services: Services, image: str, prompter: VisualPrompter | None) -> Answer:
    """The answer to an image as the person leaves it."""
    project = services.project
    status, facts = project.status(image).status, project.facts(image)
    masks = project.file.task == "segmentation"
    names = tuple(one.name for one in project.file.classes)
    state = prompt_state(project)
    old = facts is not None and facts.prompt_revision != answer_key(project, image, state)
    if project.is_hinted(image):
        if facts is None or old:
            services.answering.run(Urgency.ASKED, lambda: services.answering.answer(image))
        return _stored(services, image, names, masks=masks)
    if project.file.task == "detection":
        if status == "nothing" or project.is_marked(image):
            boxes = () if status == "nothing" else project.edits(image).boxes()
            return _boxed(services, image, boxes)
        if prompter is None or (status == "accepted" and old):
            return _boxed(services, image, () if facts is None else facts.boxes)
    if prompter is None or (status == "accepted" and old):
        answer = _stored(services, image, names, masks=masks)
    else:
        # Each by itself, so that clicks and the open image go between them.
        predict = prompter.predict
        answer = services.answering.run(Urgency.ASKED, lambda: predict(project.path(image)))
    if answer.mask is None:
        return answer
    marks = labels_of(project, image)
    mask = np.where(marks.void, answer.mask, marks.labels)
    if np.array_equal(mask, answer.mask):
        return answer
    return Answer(Image.fromarray(mask), mask=mask, classes=names)


def _boxed(services: Services, image: str, boxes: tuple[MarkedBox, ...]) -> Answer:
    """Boxes as an answer of detection, drawn as the task draws them."""
    project = services.project
    names = tuple(one.name for one in project.file.classes)
    drawn = np.where(boxes_as_ids(boxes, project.size(image)) > 0, 255, 0).astype(np.uint8)
    found = numbered(project.class_ids(), boxes)
    return Answer(Image.fromarray(drawn), classes=names, boxes=found)


def _stored(services: Services, image: str, names: tuple[str, ...], *, masks: bool) -> Answer:
    """The answer that is kept; where there is none, all ground."""
    project = services.project
    path = project.file_of(image, "answer.png")
    if not masks:
        if not path.is_file():
            raise Refusal(409, f"{project.entry(image).name}: has no answer.")
        return Answer(to_rgb(open_image(path)))
    if path.is_file():
        mask = as_numbers(project.class_ids(), answer_marks(project, image))
    else:
        mask = np.zeros(project.size(image), np.uint8)
    return Answer(Image.fromarray(mask), mask=mask, classes=names)


def _taker(
    opened: ExitStack,
    name: ExportFormat,
    out: Path,
    queries: Sequence[Query],
    classes: Classes | None,
    prompter: VisualPrompter | None,
    *,
    masks: bool,
) -> Take:
    """What takes answers for one format."""
    place = out / name
    if name in _WRITTEN:
        more: dict[str, Any] = {"made_by": None if prompter is None else prompter.made_by()}
        writer: Writer = opened.enter_context(
            open_writer(
                f"{place}/",
                queries,
                format=_WRITTEN[name],
                classes=classes or (),
                masks=masks,
                **more,
            )
        )
        return writer.write
    names = distinct_names(queries)
    assert classes is not None

    def take(query: Query, answer: Answer) -> None:
        target = place / names[query].with_suffix(".png")
        if name == "indexed":
            assert answer.mask is not None
            values = range(1, len(classes) + 1)
            save_image(mask_image(answer.mask, classes=classes.names, values=values), target)
        elif name == "per-class":
            assert answer.mask is not None
            for number, one in enumerate(classes.names, start=1):
                below = place / _folder(number, one) / names[query].with_suffix(".png")
                save_image(Image.fromarray((answer.mask == number).view(np.uint8) * 255), below)
        elif name == "overlays":
            shown = to_rgb(open_image(query.path))
            drawn = overlay(shown, as_annotation("query", answer))
            save_image(drawn, target.with_suffix(".overlay.png"))
        else:
            # LabelMe looks for the image from where its file is: they go beside one another.
            found = as_annotation(query.relative.name, answer)
            write_labelme(place / names[query].with_suffix(".json"), found)

    return take


def _folder(number: int, name: str) -> str:
    """A folder's name for a class, whatever it is called."""
    plain = "".join(c if c.isalnum() or c in "-_ " else "_" for c in name).strip()
    return f"{number}-{plain[:60]}"
