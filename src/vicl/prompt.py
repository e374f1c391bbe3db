"""What a person shows and asks: examples, and a prompt (examples + query).

These are plain values.  They hold images in whatever form the person has them; whoever needs
pixels calls :func:`vicl.images.to_tensor`, which leaves a tensor as it is.  An output may also be
an *annotation* (a mask, boxes, ...): the task draws it as an image before a model sees it
(:meth:`vicl.tasks.Task.draw`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vicl.images import ImageLike, brief, brief_fields


@dataclass(frozen=True, eq=False)
class Example:
    """One input-output pair of the task.

    Attributes:
        input: An image: path, PIL image, HxW or HxWx3 uint8 array, or 3xHxW float tensor in
            [0, 1].
        output: An image, or what the task annotates (see :mod:`vicl.tasks`); for segmentation and
            detection also a file of annotations (see :mod:`vicl.exports.reading`).
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
