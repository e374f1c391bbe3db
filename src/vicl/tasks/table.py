"""The tasks that come with vicl, by name: a new one is a file beside this and a line in `TASKS`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

from vicl.images import DEFAULT_LIMIT_PIXELS, shrink, to_tensor
from vicl.prompt import Example
from vicl.tasks.detection import Boxes, DetectionTask
from vicl.tasks.image import ColorizationTask, EdgesTask, ImageTask
from vicl.tasks.masks import Classes, ClassesLike, MaskError
from vicl.tasks.segmentation import SegmentationTask
from vicl.tasks.task import EXAMPLE_SIZE, MarkedTask, Passes, Task

TaskName = str
"""A key of :data:`TASKS`."""

TASKS: dict[TaskName, type[ImageTask | MarkedTask]] = {
    "image": ImageTask,
    "segmentation": SegmentationTask,
    "detection": DetectionTask,
    "edges": EdgesTask,
    "colorization": ColorizationTask,
}


def get_task(
    task: str | Task,
    *,
    classes: ClassesLike = None,
    palette: bool = False,
    boxes: Boxes = "largest",
) -> Task:
    """Give the task of that name.

    Args:
        task: "image", "segmentation", "detection", "edges" or "colorization"; a task comes back as
            it is.
        classes: For segmentation and detection; see :meth:`vicl.tasks.masks.Classes.parse`.
        palette: For segmentation: all classes in one prompt, by colours.
        boxes: For detection: what is read, each class's "largest" box or "all" of them.

    Raises:
        ValueError: If the name is unknown, or the task has no classes, palette or boxes.
    """
    if not isinstance(task, str):
        if classes is not None or palette or boxes != "largest":
            raise ValueError(
                "task: got a task object and classes, palette or boxes; give it those itself"
            )
        return task
    kind = TASKS.get(task)
    if kind is None:
        raise ValueError(f"task: got {task!r}, expected one of {', '.join(TASKS)}")
    if palette and not issubclass(kind, SegmentationTask):
        raise ValueError(f"palette: only segmentation draws one, got task {task!r}")
    if boxes not in get_args(Boxes):
        raise ValueError(f"boxes: got {boxes!r}, expected one of {', '.join(get_args(Boxes))}")
    if boxes != "largest" and not issubclass(kind, DetectionTask):
        raise ValueError(f"boxes: only detection reads boxes, got task {task!r}")
    if issubclass(kind, MarkedTask):
        marks = Classes.parse(classes)
        if issubclass(kind, DetectionTask):
            return kind(marks, boxes=boxes)
        return SegmentationTask(marks, palette=True) if palette else kind(marks)
    if classes is not None:
        raise ValueError(f"classes: task {task!r} has none, got {classes!r}")
    return kind()


def draw_examples(
    task: Task, examples: Iterable[Example], *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
) -> tuple[tuple[Example, ...], ...]:
    """Draw a support set: for each pass of the task, all examples with their outputs drawn.

    What is longer than :data:`EXAMPLE_SIZE` is shrunk to it once it is drawn.

    Raises:
        ValueError: If no example shows a class, so that nothing could be learnt of it.
    """
    given = list(examples)
    by_example = [_drawn(task, given, index, limit_pixels) for index in range(len(given))]
    passes = tuple(zip(*by_example, strict=True))
    if task.classes and task.passes == len(task.classes):
        for name, drawn in zip(task.classes, passes, strict=True):
            if not any(to_tensor(example.output).any() for example in drawn):
                raise MaskError(
                    f"examples: none shows class {name!r} (all its masks or boxes are empty); mark "
                    "it in at least one example"
                )
    return passes


def _drawn(task: Task, examples: Sequence[Example], index: int, limit_pixels: int) -> Passes:
    """Draw one example; of several, an error says which one it is of."""
    try:
        drawn = task.draw(examples[index], limit_pixels=limit_pixels)
    except MaskError as error:
        if len(examples) == 1:
            raise
        raise MaskError(f"example {index + 1} of {len(examples)}: {error}") from error
    picture = shrink(to_tensor(drawn[0].input), EXAMPLE_SIZE)  # the same in every pass
    return tuple(Example(picture, shrink(to_tensor(e.output), EXAMPLE_SIZE)) for e in drawn)
