"""Examples annotated in a file of another tool, or by boxes: their classes, and how they are drawn.

Where the user names no classes, the files' own names are taken, of those classes that an example
shows: in the files' order where they have one (COCO, YOLO), else by the alphabet.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from vicl.exports.reading import is_annotation_file, read_shapes
from vicl.exports.shapes import Shapes, paint
from vicl.images import size_of
from vicl.prompt import Example
from vicl.selection.pool import Pool
from vicl.tasks import TASKS, DetectionTask, MarkedTask, Task
from vicl.tasks.classes import Classes, ClassesLike
from vicl.tasks.labels import Labels, MaskError

log = logging.getLogger(__name__)

_UNNAMED = Classes.parse(None)


def with_shapes(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Read the outputs that are files of annotations; the others are as they were.

    Raises:
        vicl.exports.ExportError: If such a file cannot be used.
    """
    return tuple(
        Example(e.input, read_shapes(e.output, e.input)) if is_annotation_file(e.output) else e
        for e in examples
    )


def named_classes(
    examples: Sequence[Example], task: str | Task, classes: ClassesLike
) -> ClassesLike:
    """The classes of a task: as the user names them, else as the examples' files do.

    Raises:
        MaskError: If several classes are named by files and other examples are masks, whose values
            then say nothing; or the task reads no annotations.
    """
    found = [example.output for example in examples if isinstance(example.output, Shapes)]
    if not found:
        return classes
    if isinstance(task, str) and task not in TASKS:
        return classes  # refused where tasks are made
    _check_marked(task, found[0])
    if classes is not None or not isinstance(task, str):
        return classes
    names = _order(found)
    if names == ("0",) and all(shapes.numbered for shapes in found):
        return None  # one class without a name
    unnamed = [e for e in examples if not isinstance(e.output, Shapes | Mapping)]
    if len(names) > 1 and unnamed:
        raise MaskError(
            f"{found[0].source}: names the classes {list(names)}, but another example is a mask: "
            "say which of its values is which, with classes={'name': value} (command line: "
            "--classes name=value,...)"
        )
    return names or None


def pool_classes(pool: Pool, task: str | Task, classes: ClassesLike) -> ClassesLike:
    """The classes of a task whose examples come from a pool: as the user or else its files say."""
    marked = isinstance(task, str) and task in TASKS and issubclass(TASKS[task], MarkedTask)
    return pool.classes if classes is None and marked else classes


def painted(examples: Iterable[Example], task: Task, *, limit_pixels: int) -> tuple[Example, ...]:
    """Draw annotations as the task takes them: a mask that is read, or boxes.

    Raises:
        ValueError: If an annotation does not fit its image or the classes; the message says how.
    """
    return tuple(
        _painted(e, e.output, task, limit_pixels) if isinstance(e.output, Shapes) else e
        for e in examples
    )


def _painted(example: Example, shapes: Shapes, task: Task, limit_pixels: int) -> Example:
    _check_marked(task, shapes)
    assert isinstance(task, MarkedTask)
    picture, size = example.input, size_of(example.input, limit_pixels=limit_pixels)
    shapes = as_named(shapes, task.marks)
    found = paint(shapes, size, task.classes, limit_pixels=limit_pixels)
    if found.left_out:
        left_out, named = ", ".join(found.left_out), ", ".join(task.classes)
        if len(found.left_out) == len({shape.name for shape in shapes.shapes}):
            raise MaskError(
                f"{shapes.source}: holds none of the classes {named}; its own are {left_out}; name "
                "them as the file does (classes=, --classes)"
            )
        log.warning(
            "%s: left out what is not among the classes %s: %s", shapes.source, named, left_out
        )
    if isinstance(task, DetectionTask):
        return Example(picture, list(found.boxes))
    return Example(picture, Labels(found.labels, np.zeros(found.labels.shape, bool)))


def _order(found: Sequence[Shapes]) -> tuple[str, ...]:
    """The names of all classes that are shown, in an order that does not hang on the examples'."""
    shown = {shape.name for shapes in found for shape in shapes.shapes if shape.name is not None}
    listed = dict.fromkeys(name for shapes in found if shapes.ordered for name in shapes.names)
    first = [name for name in listed if name in shown]
    return (*first, *sorted(shown - set(first)))


def as_named(shapes: Shapes, marks: Classes) -> Shapes:
    """Shapes by the user's names, where their own are numbers or nobody named any."""
    own = {shape.name for shape in shapes.shapes if shape.name is not None}
    if shapes.numbered:
        by_number = dict(enumerate(marks.names))
        names = {
            name: name if name in marks.names else by_number.get(int(name), name) for name in own
        }
    elif marks == _UNNAMED and len(own) == 1:
        names = dict.fromkeys(own, marks.names[0])
    else:
        return shapes
    renamed = tuple(
        shape if shape.name is None else replace(shape, name=names[shape.name])
        for shape in shapes.shapes
    )
    return replace(shapes, shapes=renamed)


def _check_marked(task: str | Task, shapes: Shapes) -> None:
    if not isinstance(task, str):
        marked, name = isinstance(task, MarkedTask), task.name
    else:
        marked, name = issubclass(TASKS[task], MarkedTask), task
    if not marked:
        raise MaskError(
            f"{shapes.source}: is an annotation, which task {name!r} does not read; say "
            "task='segmentation' or task='detection' (command line: --task segmentation or --task "
            "detection)"
        )
