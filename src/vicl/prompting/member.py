"""A share of a prompt's examples on one layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from vicl.canvas.layout import Canvas, Layout
from vicl.canvas.moves import Move
from vicl.prompt import Prompt
from vicl.prompting.border import Border


@dataclass(frozen=True, eq=False)
class Member:
    """A share of a prompt's examples on one layout: a view for each of the moves.

    Attributes:
        prompt: The share, and the query.
        layout: With as many examples.
        examples: Which of the whole prompt's they are, counted from 0.
        arrangement: In which the layout is.
        border: That is added to its cells.
    """

    prompt: Prompt
    layout: Layout
    examples: tuple[int, ...]
    arrangement: int
    border: Border | None = None

    def canvases(self, moves: Sequence[Move]) -> Iterator[Canvas]:
        """The canvas of each move; pictures are brought to their cells once."""
        plain = self.layout.compose_moved(self.prompt, moves)
        if self.border is None:
            return plain
        # The border stays where it is while the pictures move.
        on = partial(self.border.on, layout=self.layout)
        return (Canvas(on(canvas.image), canvas.hole) for canvas in plain)
