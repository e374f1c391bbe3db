"""Tasks: how an annotation is drawn as an image, and read back from one.

A task is two images side by side.  What a person has (a mask, boxes, an edge map) is *drawn* as the
output image of an example, and the image that an engine answers is *read* as the same kind of
thing.  Tasks know nothing of engines and layouts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vicl.images import DEFAULT_LIMIT_PIXELS, to_tensor
from vicl.metrics import box_iou, iou
from vicl.metrics.edges import edge_counts, image_f, thin
from vicl.metrics.pictures import PSNR_CEILING, psnr
from vicl.prompt import Example
from vicl.tasks.boxes import (
    Box,
    bounding_box,
    component_boxes,
    largest_component,
    whole_pixels,
)
from vicl.tasks.masks import Classes, ClassesLike, MaskError, read_labels
from vicl.tasks.palette import palette

TaskName = Literal["image", "segmentation", "detection", "edges", "colorization"]
TASK_NAMES: tuple[TaskName, ...] = get_args(TaskName)

_LUMA = (0.299, 0.587, 0.114)
"""Rec. 601 weights of red, green and blue, by which Pillow turns colour to gray."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What a task reads from an answered image; everything at the query's size.

    Attributes:
        image: The answer as a clean picture: a mask or boxes are drawn anew, hard-edged.
        mask: Class numbers, 0 = background.
        scores: In [0, 1], one map a class; for a black-and-white prompt its brightness.
        boxes: In pixels of the query.
        edges: Strength in [0, 1].
    """

    image: Float[Tensor, "3 h w"]
    mask: UInt8[np.ndarray, "h w"] | None = None
    scores: Float[np.ndarray, "k h w"] | None = None
    boxes: tuple[Box, ...] = ()
    edges: Float[np.ndarray, "h w"] | None = None


@runtime_checkable
class Task(Protocol):
    """How annotations are drawn and read."""

    @property
    def name(self) -> str:
        """As `vicl predict --task` takes it."""
        ...

    @property
    def metric(self) -> str:
        """What :meth:`score` measures; more is better."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty where the task has none."""
        ...

    @property
    def passes(self) -> int:
        """How many prompts (with outputs drawn differently) one query takes."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether a part of a photograph can be answered without seeing the rest."""
        ...

    def draw(
        self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
    ) -> tuple[Example, ...]:
        """Draw an example's input and annotation as images, once for each pass.

        Raises:
            vicl.images.ImageError: If a file cannot be opened.
            ValueError: If the annotation cannot be understood; it says what was expected.
        """
        ...

    def draw_query(self, query: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The query as the engine sees it."""
        ...

    def read(self, images: Sequence[Float[Tensor, "3 h w"]]) -> Reading:
        """Read the answers of all passes to one query."""
        ...

    def score(
        self,
        answers: Sequence[Float[Tensor, "3 h w"]],
        truths: Sequence[Float[Tensor, "3 h w"]],
    ) -> float:
        """Compare the answers of all passes with the drawn truth of the same size."""
        ...


@dataclass(frozen=True)
class ImageTask:
    """Any image to any image; nothing is drawn or read."""

    name: str = "image"
    metric: str = "PSNR (dB)"
    classes: tuple[str, ...] = ()
    passes: int = 1
    is_local: bool = True

    def draw(
        self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
    ) -> tuple[Example, ...]:
        """See :meth:`Task.draw`; input and output may differ in size."""
        return (
            Example(
                to_tensor(example.input, limit_pixels=limit_pixels),
                to_tensor(example.output, limit_pixels=limit_pixels),
            ),
        )

    def draw_query(self, query: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The query as it is."""
        return query

    def read(self, images: Sequence[Float[Tensor, "3 h w"]]) -> Reading:
        """The image as it is."""
        return Reading(images[0])

    def score(
        self,
        answers: Sequence[Float[Tensor, "3 h w"]],
        truths: Sequence[Float[Tensor, "3 h w"]],
    ) -> float:
        """PSNR in dB, at most 100 (where both are equal)."""
        return min(PSNR_CEILING, psnr(answers[0].numpy(), truths[0].numpy()))


@dataclass(frozen=True)
class ColorizationTask(ImageTask):
    """Gray to colour: examples are colour images; inputs and the query are turned gray."""

    name: str = "colorization"

    def draw(
        self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
    ) -> tuple[Example, ...]:
        """See :meth:`Task.draw`; the output is the colour image, the input any version of it."""
        drawn = super().draw(example, limit_pixels=limit_pixels)[0]
        _check_shapes(drawn.input, drawn.output, self.name)
        return (Example(_gray(to_tensor(drawn.input)), drawn.output),)

    def draw_query(self, query: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The query in gray, whatever colours it had."""
        return _gray(query)


@dataclass(frozen=True)
class EdgesTask(ImageTask):
    """Edge maps, white on black; soft ones are welcome."""

    name: str = "edges"
    metric: str = "edge F"

    def draw(
        self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
    ) -> tuple[Example, ...]:
        """See :meth:`Task.draw`; the output is an edge map, brighter where the edge is stronger.

        Raises:
            ValueError: Also if the map is mostly bright, so drawn black on white.
        """
        drawn = super().draw(example, limit_pixels=limit_pixels)[0]
        _check_shapes(drawn.input, drawn.output, self.name)
        edges = _gray(drawn.output)
        if edges.mean() > 0.5:
            raise ValueError(
                f"edges: {_named(example.output)} is mostly bright (mean {edges.mean():.2f} of 1), "
                "expected white edges on black; invert it"
            )
        return (Example(drawn.input, edges),)

    def read(self, images: Sequence[Float[Tensor, "3 h w"]]) -> Reading:
        """Brightness is the strength of the edge."""
        return Reading(images[0], edges=images[0].mean(dim=0).numpy())

    def score(
        self,
        answers: Sequence[Float[Tensor, "3 h w"]],
        truths: Sequence[Float[Tensor, "3 h w"]],
    ) -> float:
        """The Berkeley benchmark's F at the answer's best threshold; in [0, 1].

        The truth is thinned and counts where at least half of its strongest edge is reached.
        """
        truth = thin(truths[0].mean(dim=0).numpy())
        lines = truth >= 0.5 * truth.max() if truth.any() else truth > 0
        return image_f(edge_counts(answers[0].mean(dim=0).numpy(), lines[None]))


@dataclass(frozen=True)
class SegmentationTask:
    """Masks: white on black, one prompt a class; or all classes in one prompt, by a palette.

    Attributes:
        marks: The classes and what marks them in the examples' masks.
        palette: Draw all classes in one prompt, each in its colour (that of `marks`, or one from
            the fixed palette). Quicker, but engines blur colours.
    """

    marks: Classes
    palette: bool = False
    name: str = "segmentation"
    metric: str = "IoU"
    is_local: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their numbers."""
        return self.marks.names

    @property
    def passes(self) -> int:
        """One a class, or one altogether."""
        return 1 if self.palette else len(self.marks)

    @property
    def colours(self) -> Float[Tensor, "k 3"]:
        """RGB in [0, 1] of each class, as drawn."""
        keys = self.marks.keys
        fixed = palette(len(keys))
        colours = [key if isinstance(key, tuple) else fixed[i] for i, key in enumerate(keys)]
        return torch.tensor(colours, dtype=torch.float32) / 255

    def draw(
        self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
    ) -> tuple[Example, ...]:
        """See :meth:`Task.draw`; for what a mask may be see :mod:`vicl.tasks.masks`."""
        picture = to_tensor(example.input, limit_pixels=limit_pixels)
        labels = read_labels(example.output, self.marks, limit_pixels=limit_pixels).labels
        drawn = self.draw_labels(labels)
        _check_shapes(picture, drawn[0], self.name)
        return tuple(Example(picture, output) for output in drawn)

    def draw_labels(self, labels: UInt8[np.ndarray, "h w"]) -> list[Float[Tensor, "3 h w"]]:
        """Class numbers as the pictures of all passes."""
        numbers = torch.from_numpy(labels.astype(np.int64))
        if self.palette:
            table = torch.cat([torch.zeros(1, 3), self.colours])
            return [table[numbers].permute(2, 0, 1).contiguous()]
        return [
            (numbers == number).float().expand(3, -1, -1).contiguous()
            for number in range(1, len(self.marks) + 1)
        ]

    def draw_query(self, query: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The query as it is."""
        return query

    def read(self, images: Sequence[Float[Tensor, "3 h w"]]) -> Reading:
        """Each pixel to the nearer of white and black; with several classes, to the best of those.

        With a palette: to the nearest of its colours and black; the scores are a softmax over
        squared distances.
        """
        if self.palette:
            table = torch.cat([torch.zeros(1, 3), self.colours])
            distances = (images[0][None] - table[:, :, None, None]).square().sum(dim=1)
            labels = distances.argmin(dim=0)
            scores = torch.softmax(-8.0 * distances, dim=0)[1:]
        else:
            scores = torch.stack([image.mean(dim=0) for image in images])
            best, index = scores.max(dim=0)
            labels = torch.where(best > 0.5, index + 1, 0)
        mask = labels.numpy().astype(np.uint8)
        clean = self.draw_labels(mask)[0]
        if len(self.marks) > 1 and not self.palette:
            table = torch.cat([torch.zeros(1, 3), self.colours])
            clean = table[labels].permute(2, 0, 1).contiguous()
        return Reading(clean, mask=mask, scores=scores.numpy())

    def score(
        self,
        answers: Sequence[Float[Tensor, "3 h w"]],
        truths: Sequence[Float[Tensor, "3 h w"]],
    ) -> float:
        """IoU, averaged over the classes that the truth or the answer shows; in [0, 1]."""
        got, want = self.read(answers).mask, self.read(truths).mask
        assert got is not None
        assert want is not None
        shown = [n for n in range(1, len(self.marks) + 1) if (got == n).any() or (want == n).any()]
        return float(np.mean([iou(got == n, want == n) for n in shown])) if shown else 1.0


@dataclass(frozen=True)
class DetectionTask:
    """One object a class: its box is drawn filled, white on black.

    Attributes:
        marks: The classes and, where examples are masks, what marks them.
    """

    marks: Classes
    name: str = "detection"
    metric: str = "box IoU"
    is_local: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their numbers."""
        return self.marks.names

    @property
    def passes(self) -> int:
        """One a class."""
        return len(self.marks)

    def draw(
        self, example: Example, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
    ) -> tuple[Example, ...]:
        """See :meth:`Task.draw`.

        The annotation is a list of boxes (x0, y0, x1, y1) in pixels of the input, an (n, 4) array
        of them, a list of :class:`vicl.tasks.boxes.Box`, a mapping of class names to lists of
        boxes, or a mask (see :mod:`vicl.tasks.masks`), whose components of at least 2% of its
        pixels get a box each.
        """
        picture = to_tensor(example.input, limit_pixels=limit_pixels)
        size = (picture.shape[1], picture.shape[2])
        boxes = self._boxes(example.output, limit_pixels, size)
        drawn = [torch.zeros(3, *size) for _ in range(self.passes)]
        for box in boxes:
            if not 1 <= box.label <= self.passes:
                raise ValueError(
                    f"detection: a box has class number {box.label}, expected 1 to {self.passes}"
                )
            _fill(drawn[box.label - 1], box)
        return tuple(Example(picture, output) for output in drawn)

    def draw_query(self, query: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The query as it is."""
        return query

    def read(self, images: Sequence[Float[Tensor, "3 h w"]]) -> Reading:
        """The box of the largest white component of each pass; its score is the mean brightness.

        Source: Bar et al. 2022, section 4 (single-object detection).
        """
        boxes = []
        scores = np.stack([image.mean(dim=0).numpy() for image in images])
        clean = torch.zeros_like(images[0])
        for number, score in enumerate(scores, start=1):
            component = largest_component(score > 0.5)
            corners = bounding_box(component)
            if corners is not None:
                box = Box(corners, number, float(score[component].mean()))
                boxes.append(box)
                _fill(clean, box)
        return Reading(clean, scores=scores, boxes=tuple(boxes))

    def score(
        self,
        answers: Sequence[Float[Tensor, "3 h w"]],
        truths: Sequence[Float[Tensor, "3 h w"]],
    ) -> float:
        """IoU of the boxes, averaged over the classes that the truth or the answer has a box of."""
        got = {box.label: box.box for box in self.read(answers).boxes}
        want = {box.label: box.box for box in self.read(truths).boxes}
        scores = [
            box_iou(got[n], want[n]) if n in got and n in want else 0.0 for n in got.keys() | want
        ]
        return float(np.mean(scores)) if scores else 1.0

    def _boxes(self, annotation: Any, limit_pixels: int, size: tuple[int, int]) -> list[Box]:
        if isinstance(annotation, Mapping) and all(_is_boxes(v) for v in annotation.values()):
            unknown = [name for name in annotation if name not in self.classes]
            if unknown:
                raise ValueError(
                    f"detection: got boxes of {unknown}, expected classes among {self.classes}"
                )
            return [
                Box(box, self.classes.index(name) + 1)
                for name, boxes in annotation.items()
                for box in _rows(boxes)
            ]
        if _is_boxes(annotation):
            return [b if isinstance(b, Box) else Box(b) for b in _rows(annotation)]
        labels = read_labels(annotation, self.marks, limit_pixels=limit_pixels)
        return component_boxes(labels.labels, size)


def get_task(task: str | Task, *, classes: ClassesLike = None, palette: bool = False) -> Task:
    """Give the task of that name.

    Args:
        task: "image", "segmentation", "detection", "edges" or "colorization"; a task comes back as
            it is.
        classes: For segmentation and detection; see :meth:`vicl.tasks.masks.Classes.parse`.
        palette: For segmentation: all classes in one prompt, by colours.

    Raises:
        ValueError: If the name is unknown, or the task has no classes or palette.
    """
    if not isinstance(task, str):
        if classes is not None or palette:
            raise ValueError("task: got a task object and classes or palette; give it those itself")
        return task
    if palette and task != "segmentation":
        raise ValueError(f"palette: only segmentation draws one, got task {task!r}")
    if task == "segmentation":
        return SegmentationTask(Classes.parse(classes), palette=palette)
    if task == "detection":
        return DetectionTask(Classes.parse(classes))
    plain = {"image": ImageTask, "edges": EdgesTask, "colorization": ColorizationTask}
    if task not in plain:
        raise ValueError(f"task: got {task!r}, expected one of {', '.join(TASK_NAMES)}")
    if classes is not None:
        raise ValueError(f"classes: task {task!r} has none, got {classes!r}")
    return plain[task]()


def draw_examples(
    task: Task, examples: Iterable[Example], *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
) -> tuple[tuple[Example, ...], ...]:
    """Draw a support set: for each pass of the task, all examples with their outputs drawn.

    Raises:
        ValueError: If no example shows a class, so that nothing could be learnt of it.
    """
    by_example = [task.draw(example, limit_pixels=limit_pixels) for example in examples]
    passes = tuple(zip(*by_example, strict=True))
    if task.classes and task.passes == len(task.classes):
        for name, drawn in zip(task.classes, passes, strict=True):
            if not any(to_tensor(example.output).any() for example in drawn):
                raise MaskError(
                    f"examples: none shows class {name!r} (all its masks or boxes are empty); mark "
                    "it in at least one example"
                )
    return passes


def _gray(image: Tensor) -> Tensor:
    """Gray in three equal channels, rounded to 8 bits as Pillow's is."""
    weights = image.new_tensor(_LUMA)[:, None, None]
    gray: Tensor = (image * weights).sum(dim=0).clamp(0, 1).mul(255).round().div(255)
    return gray.expand(3, -1, -1).contiguous()


def _check_shapes(picture: Any, output: Any, task: str) -> None:
    """An annotation may have another resolution than its image, but not another shape."""
    (h, w), (oh, ow) = picture.shape[1:], output.shape[1:]
    if abs(h * ow - w * oh) > 0.02 * max(h * ow, w * oh) + max(h, w, oh, ow):
        raise ValueError(
            f"{task}: the example's input is {w}x{h} and its output {ow}x{oh} pixels (width x "
            "height): they do not show the same frame; give an output of the input's shape"
        )


def _named(annotation: Any) -> str:
    return repr(os.fspath(annotation)) if isinstance(annotation, str | os.PathLike) else "the map"


def _is_boxes(annotation: Any) -> bool:
    if isinstance(annotation, np.ndarray):
        return annotation.ndim == 2 and annotation.shape[1] == 4 and annotation.dtype.kind in "fi"
    return isinstance(annotation, list | tuple) and all(
        isinstance(row, Box) or (isinstance(row, list | tuple | np.ndarray) and len(row) == 4)
        for row in annotation
    )


def _rows(annotation: Any) -> list[Any]:
    return list(annotation.tolist() if isinstance(annotation, np.ndarray) else annotation)


def _fill(picture: Tensor, box: Box) -> None:
    """Paint a box white."""
    corners = whole_pixels(box.box, (picture.shape[1], picture.shape[2]))
    x0, y0, x1, y1 = (int(value) for value in corners)
    picture[:, y0:y1, x0:x1] = 1.0
