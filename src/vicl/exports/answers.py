"""The answer to a query, and what is told of it: an annotation, a row of JSON, a row of a sheet."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from vicl.engine import View
from vicl.exports.annotation import Annotation
from vicl.exports.regions import find_regions
from vicl.exports.sheets import contact_sheet
from vicl.images import (
    DEFAULT_LIMIT_PIXELS,
    Frame,
    brief_fields,
    open_shrunk,
    save_image,
    to_rgb,
    to_tensor,
)
from vicl.prompt import Example
from vicl.tasks.boxes import Box
from vicl.tasks.labels import levels

_SHOWN = 512
"""Longest side of a picture that a contact sheet or a notebook shows, in pixels."""


@dataclass(frozen=True)
class Query:
    """One image file to answer.

    Attributes:
        path: Where it is, as given.
        relative: What its outputs are named by: its place in the folder that was given, or its
            name.
        frame: Which frame or page of the file, from 1; None for the file as one image.
    """

    path: Path
    relative: PurePath
    frame: int | None = None

    @property
    def image(self) -> Path | Frame:
        """What is opened to answer it."""
        return self.path if self.frame is None else Frame(self.path, self.frame)


@dataclass(frozen=True, eq=False)
class Answer:
    """What came out for one query; everything at the query's own size (h, w).

    Attributes:
        drawn: A mask is drawn clean, in mode P, as boxes are in mode L; other tasks give the
            engine's picture, in RGB.
        confidence: How sure the engine is, float32 (h, w) in [0, 1]; None if it cannot say.
        likelihood: Log-likelihood, for ranking answers to one query; None if the engine has none.
        mask: Segmentation: class numbers, uint8 (h, w), 0 = background.
        scores: Segmentation and detection: float32 (classes, h, w) in [0, 1].
        classes: Their names, in the order of their numbers from 1.
        boxes: Detection: xyxy in pixels of the query, class number and score.
        edges: Edges: float32 (h, w) in [0, 1].
        presence: How likely it is, [0, 1], that anything that the examples mark is in the query,
            by the engine's own weighing of misses and inventions; None if it cannot say.
        objects: Where `instances` asked for them: numbers of separate objects, int32 (h, w), from
            1, each of one class of `mask`; 0 is background.
        cell: The first pass's answer as inpainted; None for engines without a canvas.
        canvas: The first pass's filled canvas; None for engines without one.
        alternatives: Further answers, best first, where `samples` asked for them.
        index: Which query it answers, counted from 0.
        source: The query's file, where it was one.
        examples: Files of its examples, where each query has examples of its own.
        views: For each pass of the task, the views that were fused: which examples and which
            arrangement each showed, how likely its answer is and how far it agrees with the fused
            one. Empty where there was one view, and of tiles.
    """

    drawn: Image.Image
    confidence: Float[np.ndarray, "h w"] | None = None
    likelihood: float | None = None
    mask: UInt8[np.ndarray, "h w"] | None = None
    scores: Float[np.ndarray, "k h w"] | None = None
    classes: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    edges: Float[np.ndarray, "h w"] | None = None
    presence: float | None = None
    objects: Int[np.ndarray, "h w"] | None = None
    cell: Image.Image | None = None
    canvas: Image.Image | None = None
    alternatives: tuple[Answer, ...] = ()
    index: int = 0
    source: Path | None = None
    examples: tuple[Path, ...] = ()
    views: tuple[tuple[View, ...], ...] = ()

    def __repr__(self) -> str:
        return brief_fields(self)

    @cached_property
    def image(self) -> Image.Image:
        """What was drawn, in RGB."""
        return to_rgb(self.drawn)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels, the query's."""
        return self.drawn.height, self.drawn.width

    def _repr_png_(self) -> bytes:
        """What a notebook shows: the image, no side longer than 512 pixels."""
        shown = self.image.copy()
        shown.thumbnail((_SHOWN, _SHOWN))
        data = io.BytesIO()
        shown.save(data, "PNG")
        return data.getvalue()


def as_annotation(file_name: str, answer: Answer) -> Annotation:
    """An answer as the exports take it."""
    return Annotation(
        file_name,
        answer.size,
        answer.classes,
        mask=answer.mask,
        boxes=answer.boxes,
        confidence=answer.confidence,
        objects=answer.objects,
    )


def count_objects(answer: Answer) -> dict[str, int]:
    """How many objects of each class an answer has: of its mask, or else of its boxes."""
    regions = find_regions(as_annotation("query", answer))
    labels = [thing.label for thing in (regions or answer.boxes)]
    return {name: labels.count(number) for number, name in enumerate(answer.classes, start=1)}


def as_row(query: Query, answer: Answer, written: Path | None) -> dict[str, Any]:
    """An answer in numbers, for JSON; `written` is the file that holds it, if one does."""
    row: dict[str, Any] = {"query": str(query.path)}
    if query.frame is not None:
        row["frame"] = query.frame
    if written is not None:
        row["output"] = str(written)
    row["size"] = [*answer.size]
    if answer.confidence is not None:
        row["confidence"] = round(float(answer.confidence.mean()), 4)
    if answer.likelihood is not None:
        row["likelihood"] = answer.likelihood
    if answer.mask is not None:
        present, counts = levels(answer.mask)
        share = dict(zip(present.tolist(), (counts / answer.mask.size).tolist(), strict=True))
        row["area"] = {
            name: round(share.get(number, 0.0), 6)
            for number, name in enumerate(answer.classes, start=1)
        }
    if answer.boxes or (answer.scores is not None and answer.mask is None):
        row["boxes"] = [
            {"class": answer.classes[box.label - 1], "box": list(box.box), "score": box.score}
            for box in answer.boxes
        ]
    if answer.presence is not None:
        row["presence"] = round(answer.presence, 4)
    if answer.objects is not None:
        row["count"] = count_objects(answer)
        row["objects"] = [
            {
                "class": answer.classes[region.label - 1],
                "box": list(region.box),
                "area": len(region.pixels),
                "score": region.score,
            }
            for region in find_regions(as_annotation("query", answer))
        ]
    if answer.examples:
        row["examples"] = [str(file) for file in answer.examples]
    if answer.views:
        row["views"] = told_views(answer)
    if answer.alternatives:
        row["alternatives"] = len(answer.alternatives)
    return row


def told_views(answer: Answer) -> list[dict[str, Any]]:
    """The views of all passes, for JSON, with their class where each class has a pass."""
    several = len(answer.views) > 1
    return [
        ({"class": answer.classes[number]} if several else {})
        | {
            "examples": [*view.examples],
            "arrangement": view.arrangement,
            "likelihood": view.log_likelihood,
            "agreement": round(view.agreement, 4),
        }
        for number, views in enumerate(answer.views)
        for view in views
    ]


class AnswerSheet:
    """A contact sheet of examples, and under them the first queries with their answers.

    Args:
        examples: As the engine sees them.
        most: How many answers are drawn; further ones are left out.
        limit_pixels: Queries with more pixels are refused.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        *,
        most: int = 50,
        limit_pixels: int = DEFAULT_LIMIT_PIXELS,
    ) -> None:
        self.most, self.limit_pixels = most, limit_pixels
        self.queries: list[Query] = []
        self._pictures = [[to_tensor(e.input), to_tensor(e.output)] for e in examples]
        self._labels = ["example"] * len(self._pictures)

    def add(self, query: Query, answer: Answer) -> None:
        """Take a query and its answer, made small: neither is held at its own size."""
        if len(self.queries) == self.most:
            return
        shown, _ = open_shrunk(query.image, _SHOWN, limit_pixels=self.limit_pixels)
        answered, _ = open_shrunk(answer.drawn, _SHOWN, limit_pixels=self.limit_pixels)
        self._pictures.append([shown, answered])
        self._labels.append(query.relative.name)
        self.queries.append(query)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Draw the page and write it."""
        page = contact_sheet(self._pictures, headers=("input", "output"), labels=self._labels)
        save_image(page, path, inputs=[query.path for query in self.queries])
