"""What a prompt is expected to score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vicl.images import brief_fields
from vicl.metrics import Interval, bootstrap_interval


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
