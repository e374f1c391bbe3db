"""Views: the ways in which one prompt is asked of an inpainter.

Groups of examples, arrangements of the grid and moves of its pictures are all views: a canvas each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vicl.canvas.layout import Canvas, Layout
from vicl.canvas.moves import Move
from vicl.engine import Inpainter
from vicl.prompt import Prompt


@dataclass(frozen=True, eq=False)
class Member:
    """A share of a prompt's examples on one layout: a view for each of the moves.

    Attributes:
        prompt: The share, and the query.
        layout: With as many examples.
    """

    prompt: Prompt
    layout: Layout

    def canvases(self, moves: Sequence[Move]) -> Iterator[Canvas]:
        """The canvas of each move; pictures are brought to their cells once."""
        return self.layout.compose_moved(self.prompt, moves)


def most_examples(inpainter: Inpainter) -> int:
    """How many examples the general grid shows an inpainter at once.

    As many as fit on its canvas, or as it says that it was trained on.
    """
    fitting = Layout.largest(inpainter.canvas_size, patch_size=inpainter.patch_size)
    return min(fitting, inpainter.most_examples or fitting)


def even_share(inpainter: Inpainter, examples: int) -> int:
    """How many of so many examples a canvas is to show, if each is to show as many.

    All; or, where fewer fit or the inpainter was trained on fewer, the most that share them out
    evenly.
    """
    most = max(1, min(most_examples(inpainter), examples))
    return max(n for n in range(1, most + 1) if examples % n == 0)


def shared_out(prompt: Prompt, rounds: int) -> list[Prompt]:
    """The prompt's examples in so many groups, as even as can be, each with the query."""
    count = len(prompt.examples)
    cuts = [count * index // rounds for index in range(rounds + 1)]
    return [Prompt(prompt.examples[start:stop], prompt.query) for start, stop in pairwise(cuts)]


def arranged(base: Layout, arrangements: Sequence[int]) -> list[Layout]:
    """A layout in several arrangements.

    Raises:
        ValueError: If one of them would turn a canvas that is not square.
    """
    layouts = [base.arranged(number) for number in arrangements]
    if any(
        (layout.canvas_size, layout.answer.size, layout.hole.size)
        != (base.canvas_size, base.answer.size, base.hole.size)
        for layout in layouts
    ):
        raise ValueError(
            f"arrangements: {tuple(arrangements)} turn a grid that is not square on its side; take "
            "arrangements among 1 to 4"
        )
    return layouts
