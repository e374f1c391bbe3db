"""Figures to numbers, by several processes: what a filter learns from, and what it scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import torch
from jaxtyping import Float

from vicl.engine import Encoder
from vicl.figures.arxiv.filtering.figure_filter import describe
from vicl.figures.arxiv.workers import Bounds, Died, Each, run_each
from vicl.images import ImageError, open_image, to_rgb

Described: TypeAlias = Float[np.ndarray, " n"]

_BOUNDS: Final = Bounds(seconds=120, memory=4 << 30, file=1 << 20)
"""Of a process; figures have at most 1024 pixels a side."""


@dataclass(frozen=True, eq=False)
class Describing:
    """Describes the figures of files; can be sent to a process, where it makes its encoder.

    Attributes:
        make: Makes the encoder; None where cues alone are wanted.
        side: See :func:`vicl.figures.arxiv.filtering.figure_filter.describe`.
        longest: A figure is shrunk to it, in pixels, as figures are extracted.
    """

    make: Callable[[], Encoder] | None
    side: int
    longest: int = 1024

    @cached_property
    def encoder(self) -> Encoder | None:
        """Made when it is first asked for; the process then computes on one thread."""
        torch.set_num_threads(1)  # sums of several threads differ in their last bits
        return None if self.make is None else self.make()

    def __call__(self, file: Path) -> Described | str:
        """Describe a figure; of one that cannot be read the reason comes, in words."""
        try:
            image = to_rgb(open_image(file))
        except ImageError as error:
            return str(error)
        image.thumbnail((self.longest, self.longest))
        return describe(np.asarray(image), self.encoder, self.side)


def describe_files(
    describing: Describing, files: Iterable[Path], *, workers: int, each: Each | None = None
) -> Iterator[tuple[Path, Described | str]]:
    """Describe figures, as they are finished.

    A script that calls it needs the usual `if __name__ == "__main__":`.

    Args:
        describing: How.
        files: Which.
        workers: Processes; what is said of a figure does not depend on how many.
        each: Works on the figures; None: processes of this machine.

    Returns:
        Each file with its numbers, or with the reason why it has none.

    Raises:
        ValueError: If `workers` is not positive.
        RuntimeError: If no process can be started.
    """
    if workers < 1:
        raise ValueError(f"workers: got {workers}, expected at least 1")
    for file, said in (each or run_each)(describing, files, workers=workers, bounds=_BOUNDS):
        yield file, said.how if isinstance(said, Died) else said
