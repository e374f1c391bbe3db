"""One answer in one call."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from vicl.engine import InContextModel, Inpainter
from vicl.exports.answers import Answer
from vicl.images import ImageLike
from vicl.prompt import ExampleLike, as_examples
from vicl.prompting.prompter import VisualPrompter
from vicl.selection.selectors import Selector
from vicl.tasks import Task


def predict(
    query: ImageLike,
    examples: Iterable[ExampleLike] | Selector,
    task: str | Task = "image",
    *,
    model: str | os.PathLike[str] | InContextModel | Inpainter | None = None,
    **options: Any,
) -> Answer:
    """Answer one query by examples.

    Args:
        query: The new image.
        examples: (input, output) pairs, at least one; or what chooses them.
        task: See :class:`VisualPrompter`, which also says what `options` there are.
        model: An engine; None picks the one that measured best for the task.
        **options: Keyword arguments of :class:`VisualPrompter`.
    """
    shown = examples if isinstance(examples, Selector) else as_examples(examples)
    return VisualPrompter(model, shown, task, **options).predict(query)
