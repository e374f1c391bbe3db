"""What a prompt is expected to score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vicl.engine import Filled
from vicl.images import brief_fields, resize, to_tensor
from vicl.metrics import Interval, bootstrap_interval
from vicl.prompt import Example, Prompt
from vicl.prompting.batching import unbroken
from vicl.tasks import Task


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
    truths = [resize(to_tensor(drawn[index].output), size) for drawn in passes]
    prompts = [Prompt(drawn[:index] + drawn[index + 1 :], query) for drawn in passes]
    return task.score([one.image for one in unbroken(ask(prompts))], truths)
