"""What a prompt is expected to score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vicl.engine import Filled
from vicl.images import brief_fields, resize, to_tensor
from vicl.metrics import Interval, bootstrap_interval
from vicl.prompt import Example, Prompt
from vicl.prompting.batching import unbroken
from vicl.tasks import Task
from vicl.tasks.segmentation import UNKNOWN, SegmentationTask


@dataclass(frozen=True)
class ExpectedScore:
    """How well a prompt's examples predict one another.

    Attributes:
        metric: What was measured, such as "IoU"; more is better.
        values: One an example: it as the query, the others as its examples.
        copy: The same for the Copy floor.
    """

    metric: str
    values: tuple[float, ...]
    copy: tuple[float, ...]

    def __repr__(self) -> str:
        return brief_fields(self)

    @property
    def interval(self) -> Interval:
        """Mean of the values with its bootstrap 95% interval."""
        return bootstrap_interval(self.values)

    def __str__(self) -> str:
        return (
            f"{self.metric} {self.interval.mean:.2f} by leaving one out of {len(self.values)} "
            f"examples (Copy: {np.mean(self.copy):.2f})"
        )


def left_out(
    passes: Sequence[tuple[Example, ...]],
    index: int,
    task: Task,
    ask: Callable[[Sequence[Prompt]], Iterable[Filled | Exception]],
) -> float:
    """How well one example is answered by the others.

    Args:
        passes: For each pass of the task, the examples as the engine sees them.
        index: The one that is asked about.
        task: Whose metric it is.
        ask: Answers prompts, in order.
    """
    query = to_tensor(passes[0][index].input)
    size = (query.shape[1], query.shape[2])
    drawn = [to_tensor(examples[index].output) for examples in passes]
    prompts = [Prompt(examples[:index] + examples[index + 1 :], query) for examples in passes]
    images = [one.image for one in unbroken(ask(prompts))]
    truths = [resize(picture, size) for picture in drawn]
    if isinstance(task, SegmentationTask):
        # Where nobody said what is there, nothing is right or wrong.
        known = [resize(_known(picture), size, filter="nearest") for picture in drawn]
        images = [image * share for image, share in zip(images, known, strict=True)]
        truths = [truth * share for truth, share in zip(truths, known, strict=True)]
    return task.score(images, truths)


def _known(picture: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """1 where an annotation says what is there, else 0."""
    return (255 * picture != UNKNOWN).any(dim=0).float().expand(3, -1, -1)
