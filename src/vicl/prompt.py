"""What a person shows and asks: examples, a prompt (examples + query), and clicks on one image.

These are plain values.  They hold images in whatever form the person has them; whoever needs
pixels calls :func:`vicl.images.to_tensor`, which leaves a tensor as it is.  An output may also be
an *annotation* (a mask, boxes, ...): the task draws it as an image before a model sees it
(:meth:`vicl.tasks.Task.draw`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from vicl.images import ImageLike, brief, brief_fields


@dataclass(frozen=True, eq=False)
class Example:
    """One input-output pair of the task.

    Attributes:
        input: An image: path, PIL image, HxW or HxWx3 uint8 array, or 3xHxW float tensor in
            [0, 1].
        output: An image, or what the task annotates (see :mod:`vicl.tasks`); for segmentation and
            detection also a file of annotations (see :mod:`vicl.exports.reading`); for a
            vision-language model its words.
    """

    input: ImageLike
    output: Any

    def __repr__(self) -> str:
        return brief_fields(self)


ExampleLike = Example | Sequence[Any]
"""A pair (input, output) is accepted wherever an :class:`Example` is."""


def as_examples(examples: Iterable[ExampleLike]) -> tuple[Example, ...]:
    """Take examples as people write them.

    Raises:
        ValueError: If there is none, or one is not a pair.
    """
    if isinstance(examples, Mapping):
        raise ValueError(
            "examples: got a mapping, expected a list of (input, output) pairs: "
            "list(examples.items())"
        )
    if isinstance(examples, Example | str | bytes):
        raise ValueError(
            f"examples: got a single {type(examples).__name__}, expected a list of "
            "(input, output) pairs, such as [('in.png', 'out.png')]"
        )
    found = []
    for index, example in enumerate(examples):
        if isinstance(example, Example):
            found.append(example)
        elif isinstance(example, Sequence) and not isinstance(example, str) and len(example) == 2:
            found.append(Example(*example))
        else:
            raise ValueError(
                f"examples[{index}]: got {type(example).__name__}, expected an Example or a pair "
                "(input, output); for one example write examples=[(input, output)]"
            )
    if not found:
        raise ValueError("examples: got none, expected at least one (input, output) pair")
    return tuple(found)


@dataclass(frozen=True, eq=False, init=False)
class Prompt:
    """Examples and the query that they are for.

    Attributes:
        examples: At least one; pairs are turned into :class:`Example`.
        query: The new input image.
        size: (height, width) of the answer, where the query is given smaller; None: the query's.

    Raises:
        ValueError: If there is no example, or one is not a pair.
    """

    examples: tuple[Example, ...]
    query: ImageLike
    size: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"Prompt({len(self.examples)} examples, query={brief(self.query)})"

    def __init__(
        self,
        examples: Iterable[ExampleLike],
        query: ImageLike,
        size: tuple[int, int] | None = None,
    ) -> None:
        object.__setattr__(self, "examples", as_examples(examples))
        object.__setattr__(self, "query", query)
        object.__setattr__(self, "size", size)


WAYS: Final = ("points", "box", "scribbles", "mask", "text", "example")
"""The ways of saying which thing of an image is meant."""

SCRIBBLE_UNKNOWN: Final = 255
"""In scribbles: says nothing; 1 = in, 0 = out."""


@dataclass(frozen=True, eq=False, init=False)
class MaskPrompt:
    """Which thing of an image is meant; at least one way of saying it.

    Attributes:
        points: x and y in pixels; none where there are no rows.
        labels: Of the points: 1 = in, 0 = out.
        box: Around the thing: xyxy in pixels, half-open; or None.
        scribbles: 1 = in, 0 = out, 255 = unknown, at the image's size; or None.
        mask: A coarse or earlier mask, at the image's size; or None.
        text: What it is called; or None.
        example: Another image, and the region of it that shows such a thing; or None.
    """

    points: Float32[np.ndarray, "k 2"]
    labels: UInt8[np.ndarray, " k"]
    box: Float32[np.ndarray, " 4"] | None
    scribbles: UInt8[np.ndarray, "h w"] | None
    mask: Bool[np.ndarray, "h w"] | None
    text: str | None
    example: tuple[ImageLike, Bool[np.ndarray, "_h _w"]] | None

    def __init__(
        self,
        points: Any = None,
        labels: Any = None,
        *,
        box: Any = None,
        scribbles: Any = None,
        mask: Any = None,
        text: str | None = None,
        example: ExampleLike | None = None,
    ) -> None:
        """Take a prompt as people write it.

        Args:
            points: (x, y) pairs.
            labels: One a point: 1 or True = in, 0 or False = out; None: all are in.
            box: (x0, y0, x1, y1).
            scribbles: An array (h, w) of 1, 0 and 255.
            mask: An array (h, w) of bool, or of 0 and 1.
            text: Not empty.
            example: (image, mask) as above.

        Raises:
            ValueError: If one is not so, or nothing is asked.
        """
        at = _points(points)
        values: dict[str, Any] = {
            "points": at,
            "labels": _labels(labels, len(at)),
            "box": None if box is None else _box(box),
            "scribbles": None if scribbles is None else _scribbles(scribbles),
            "mask": None if mask is None else _region("mask", mask),
            "text": text,
            "example": None if example is None else _example(example),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if text is not None and not text.strip():
            raise ValueError("text: got an empty one, expected what the thing is called")
        if not self.ways:
            raise ValueError(f"prompt: got nothing, expected one or more of {', '.join(WAYS)}")

    @property
    def ways(self) -> frozenset[str]:
        """Those of :data:`WAYS` in which it is said."""
        there = {name for name in WAYS[1:] if getattr(self, name) is not None}
        return frozenset(there | ({"points"} if len(self.points) else set()))

    def __repr__(self) -> str:
        said = ((name, getattr(self, name)) for name in WAYS if name in self.ways)
        shown = ", ".join(f"{name}={_brief_numbers(value)}" for name, value in said)
        return f"MaskPrompt({shown})"


def _brief_numbers(value: Any) -> str:
    few = isinstance(value, np.ndarray) and value.size <= 8
    return str(value.tolist()) if few else brief(value)


def _numbers(name: str, given: Any, expected: str) -> np.ndarray:
    try:
        found = np.asarray(given, np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: got {brief(given)}, expected {expected}") from None
    if not np.isfinite(found).all():
        raise ValueError(f"{name}: got {brief(given)}, expected finite numbers")
    return found


def _points(given: Any) -> np.ndarray:
    if given is None:
        return np.zeros((0, 2), np.float32)
    expected = "(x, y) pairs, such as [(120, 80)]"
    found = _numbers("points", given, expected)
    if found.size == 0:
        return np.zeros((0, 2), np.float32)
    if found.ndim != 2 or found.shape[1] != 2:
        hint = "; for one point write points=[(x, y)]" if found.shape == (2,) else ""
        raise ValueError(f"points: got {brief(given)}, expected {expected}{hint}")
    return found


def _labels(given: Any, count: int) -> np.ndarray:
    if given is None:
        return np.ones(count, np.uint8)
    found = _numbers("labels", given, "1 (in) or 0 (out) for each point")
    if found.shape != (count,):
        raise ValueError(f"labels: got {found.size} for {count} points, expected one a point")
    if not np.isin(found, (0, 1)).all():
        raise ValueError(f"labels: got {brief(given)}, expected 1 (in) or 0 (out) for each point")
    return found.astype(np.uint8)


def _box(given: Any) -> np.ndarray:
    found = _numbers("box", given, "(x0, y0, x1, y1)")
    if found.shape != (4,):
        raise ValueError(f"box: got {brief(given)}, expected (x0, y0, x1, y1)")
    if not (found[:2] < found[2:]).all():
        raise ValueError(
            f"box: got {tuple(found.tolist())}, expected x0 < x1 and y0 < y1: the left upper "
            "corner first, not a corner and a size"
        )
    return found


def _scribbles(given: Any) -> np.ndarray:
    found = np.asarray(given)
    if found.ndim != 2 or not np.isin(found, (0, 1, SCRIBBLE_UNKNOWN)).all():
        raise ValueError(
            f"scribbles: got {brief(given)}, expected an array (h, w) of 1 (in), 0 (out) and "
            f"{SCRIBBLE_UNKNOWN} (unknown)"
        )
    if (found == SCRIBBLE_UNKNOWN).all():
        raise ValueError("scribbles: got none: every pixel is unknown (255)")
    return found.astype(np.uint8)


def _region(name: str, given: Any) -> np.ndarray:
    found = np.asarray(given)
    if found.ndim != 2 or not np.isin(found, (0, 1)).all():
        raise ValueError(f"{name}: got {brief(given)}, expected an array (h, w) of True and False")
    if not found.any():
        raise ValueError(f"{name}: got an empty one: no pixel of it is True")
    return found.astype(bool)


def _example(given: ExampleLike) -> tuple[ImageLike, np.ndarray]:
    (pair,) = as_examples([given])
    return pair.input, _region("example's mask", pair.output)
