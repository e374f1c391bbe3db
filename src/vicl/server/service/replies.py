"""Answers as a reply: JSON, one PNG, or a zip."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from vicl.exports.answers import Answer, count_objects, told_views
from vicl.exports.masks import LABEL_MAP, answer_picture, is_flat, json_bytes, label_map
from vicl.exports.rle import encode_rle
from vicl.images import encode_image
from vicl.server.service.schemas import (
    BoxAnswer,
    ClassAnswer,
    ClassMask,
    Pixels,
    Prediction,
    Predictions,
    ViewAnswer,
)
from vicl.tasks import MarkedTask, Task
from vicl.tasks.masks import Classes

_EPOCH = (1980, 1, 1, 0, 0, 0)


def png_of(answer: Answer, task: Task) -> bytes:
    """The bytes that `vicl predict` writes."""
    picture = answer_picture(answer, _marks(task))
    return encode_image(picture, flat=is_flat(answer, picture))


def prediction(name: str, answer: Answer, task: Task, pixels: Pixels) -> Prediction:
    """An answer as JSON has it."""
    sure = answer.confidence
    return Prediction(
        query=name,
        size=answer.size,
        confidence=None if sure is None else round(float(sure.mean()), 4),
        likelihood=answer.likelihood,
        presence=None if answer.presence is None else round(answer.presence, 4),
        objects=None if answer.objects is None else count_objects(answer),
        classes=tuple(_classes(answer)),
        boxes=tuple(
            BoxAnswer(class_=answer.classes[box.label - 1], box=box.box, score=round(box.score, 4))
            for box in answer.boxes
        ),
        rle=tuple(_runs(answer)) if pixels == "rle" else None,
        png=base64.b64encode(png_of(answer, task)).decode() if pixels == "png" else None,
        views=tuple(ViewAnswer(**view) for view in told_views(answer)),
        alternatives=tuple(prediction(name, one, task, pixels) for one in answer.alternatives),
    )


def zip_of(names: Sequence[str], answers: Sequence[Answer], task: Task, told: Predictions) -> bytes:
    """Pictures named as the queries, what is told of them, and what their numbers mean."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, data: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)

        for stem, answer in zip(_stems(names), answers, strict=True):
            add(f"{stem}.png", png_of(answer, task))
            for number, other in enumerate(answer.alternatives, start=2):
                add(f"alternatives/{stem}.{number}.png", png_of(other, task))
        add("answers.json", told.model_dump_json(by_alias=True, exclude_none=True).encode())
        marks = _marks(task)
        if marks is not None and task.name != "detection":
            add(LABEL_MAP, json_bytes(label_map(marks)))
    return packed.getvalue()


def _marks(task: Task) -> Classes | None:
    return task.marks if isinstance(task, MarkedTask) else None


def _classes(answer: Answer) -> Iterator[ClassAnswer]:
    if answer.mask is None:
        return
    for number, name in enumerate(answer.classes, start=1):
        inside = answer.mask == number
        score = None
        if answer.scores is not None and inside.any():
            score = round(float(answer.scores[number - 1][inside].mean()), 4)
        area = round(float(inside.mean()), 6)
        yield ClassAnswer(number=number, name=name, area=area, score=score)


def _runs(answer: Answer) -> Iterator[ClassMask]:
    if answer.mask is None:
        return
    for number, name in enumerate(answer.classes, start=1):
        code = encode_rle(answer.mask == number)
        height, width = code["size"]
        yield ClassMask(class_=name, size=(height, width), counts=str(code["counts"]))


def _stems(names: Sequence[str]) -> Iterator[str]:
    """The queries' names without endings, each once."""
    seen: set[str] = set()
    for name in names:
        stem = wanted = Path(name).stem
        count = 1
        while stem.lower() in seen:
            count += 1
            stem = f"{wanted}-{count}"
        seen.add(stem.lower())
        yield stem
