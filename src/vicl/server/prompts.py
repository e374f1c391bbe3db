"""The project as a prompt: its examples, and a name for all that its answers depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8

from vicl.prompt import Example
from vicl.server.marks import UNKNOWN, Marks
from vicl.server.project import Project
from vicl.server.records import ProjectFile
from vicl.server.schemas import MarkedBox, Task
from vicl.tasks.boxes import Box, whole_pixels
from vicl.tasks.labels import Labels

MARKED: Final[tuple[Task, ...]] = ("segmentation", "detection")
"""The tasks whose images are marked, with classes."""


@dataclass(frozen=True)
class PromptState:
    """What answers depend on.

    Attributes:
        key: Equal where they are.
        examples: Ids of the images that are examples.
        classes: Ids of the classes, in the order of their numbers from 1.
    """

    key: str
    examples: tuple[str, ...]
    classes: tuple[int, ...]


def prompt_state(project: Project) -> PromptState | None:
    """The project's prompt as it is now; None where there is no example yet."""
    with project.lock:
        file = project.file
        examples = [image for image in sorted(project.images) if _is_example(project, image)]
        if not examples:
            return None
        facts = [
            file.task,
            file.engine,
            file.settings,
            [[one.id, one.name] for one in file.classes] if file.task in MARKED else [],
            [[image, *_version(project, image)] for image in examples],
        ]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return PromptState(key, tuple(examples), project.class_ids())


def answer_key(project: Project, image: str, state: PromptState | None) -> str | None:
    """What the answer to an image is to be by: its own hints, else the prompt; None: nothing."""
    with project.lock:
        if project.entry(image).broken is None and project.is_hinted(image):
            return f"hints {project.edit_revision(image)}"
        return None if state is None else state.key


def _is_example(project: Project, image: str) -> bool:
    status, entry = project.status(image), project.entry(image)
    if not status.example or entry.broken is not None:
        return False
    if project.file.task == "colorization":
        return True
    if project.file.task not in MARKED:
        return project.has_output(image)
    return status.status == "nothing" or project.is_marked(image)


def _version(project: Project, image: str) -> tuple[int, bool, int]:
    output = project.file_of(image, "output.png")
    stamp = output.stat().st_mtime_ns if output.is_file() else 0
    return project.edit_revision(image), project.status(image).status == "nothing", stamp


def example_of(project: Project, image: str) -> Example:
    """An image as an example of the task."""
    path = project.path(image)
    if project.file.task == "detection" and project.status(image).status != "nothing":
        names = {one.id: one.name for one in project.file.classes}
        by_name: dict[str, list[Box]] = {name: [] for name in names.values()}
        for box in numbered(project.class_ids(), project.edits(image).boxes()):
            by_name[[*names.values()][box.label - 1]].append(box)
        return Example(path, by_name)
    if project.file.task in MARKED:
        return Example(path, labels_of(project, image))
    output = project.file_of(image, "output.png")
    return Example(path, output if output.is_file() else path)


def labels_of(project: Project, image: str) -> Labels:
    """The marks of an image as class numbers, in the order of the classes; unmarked is void."""
    with project.lock:
        if project.status(image).status == "nothing":
            size = project.size(image)
            return Labels(np.zeros(size, np.uint8), np.zeros(size, bool))
        marks = project.edits(image).marks.copy()
    table = np.full(256, UNKNOWN, np.uint8)
    table[[0, *project.class_ids()]] = range(len(project.class_ids()) + 1)
    labels = table[marks]
    void = labels == UNKNOWN
    labels[void] = 0
    return Labels(labels, void)


def task_options(file: ProjectFile) -> dict[str, Any]:
    """The task, its classes and which boxes are read, as the prompter takes them."""
    if file.task not in MARKED:
        return {"task": file.task}
    boxes = {"boxes": "all"} if file.task == "detection" else {}
    return {"task": file.task, "classes": [one.name for one in file.classes], **boxes}


def numbered(classes: tuple[int, ...], boxes: Iterable[MarkedBox]) -> tuple[Box, ...]:
    """Boxes with class numbers for ids; those of classes that are gone are left out."""
    return tuple(
        Box(one.box, classes.index(one.class_) + 1, one.score)
        for one in boxes
        if one.class_ in classes
    )


def boxes_as_ids(boxes: Iterable[MarkedBox], size: tuple[int, int]) -> Marks:
    """Boxes painted in the ids of their classes, the first one over the others."""
    painted: Marks = np.zeros(size, np.uint8)
    for one in reversed([*boxes]):
        x0, y0, x1, y1 = (int(value) for value in whole_pixels(one.box, size))
        painted[y0:y1, x0:x1] = one.class_
    return painted


def as_ids(classes: tuple[int, ...], labels: UInt8[np.ndarray, "h w"]) -> Marks:
    """Class numbers as the ids that the project gave the classes."""
    table: Marks = np.array([0, *classes], np.uint8)
    return np.take(table, labels)


def as_numbers(classes: tuple[int, ...], ids: Marks) -> UInt8[np.ndarray, "h w"]:
    """Ids as class numbers; those of classes that are gone are ground."""
    table = np.zeros(256, np.uint8)
    table[list(classes)] = range(1, len(classes) + 1)
    return np.take(table, ids)
