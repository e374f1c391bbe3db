"""An inpainter on a layout: plan the views of a prompt, compose, inpaint, crop, fuse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

from vicl.canvas.layout import Layout
from vicl.canvas.moves import Move, moves_within
from vicl.engine import Filled, Inpainter
from vicl.prompt import Prompt
from vicl.prompting.batching import AT_ONCE, Chunks, unbroken
from vicl.prompting.border import Border
from vicl.prompting.fusing import ANSWER_FUSIONS, TOKEN_FUSIONS, Shows, fuses_tokens
from vicl.prompting.member import Member
from vicl.prompting.settings import PromptSettings
from vicl.prompting.window import Window


class CanvasModel:
    """An inpainter that answers prompts; a :class:`vicl.engine.InContextModel`.

    A prompt's views are all arrangements of all groups of its examples, each with all moves of its
    pictures; what they give is fused into one answer. The answer's place in the hole moves with the
    arrangement by up to the grid's gap, so that places of tokens agree to within that.

    An answer's likelihood is that of its canvases without a move. Of answers that are drawn at
    random none is a mean over moves; where tokens are fused there is one answer.

    Args:
        inpainter: What fills the hole.
        shows: What its answers show, by which votes are counted.
        border: That is added to its canvases.
        **settings: For inpainters, and `upsampling`: see
            :class:`vicl.prompting.settings.PromptSettings`.

    Attributes:
        inpainter: What fills the hole.
        shows: What its answers show.
        border: That is added to its canvases; None adds none.
        settings: How it is asked.

    Raises:
        ValueError: If a setting cannot be, or does not suit the inpainter.
    """

    max_size: int | None = None

    def __init__(
        self,
        inpainter: Inpainter,
        *,
        shows: Shows = "image",
        border: Border | None = None,
        **settings: Any,
    ) -> None:
        self.inpainter, self.shows, self.border = inpainter, shows, border
        self.settings = PromptSettings.of(settings)
        layout, wanted = self.settings.layout, (inpainter.canvas_size, inpainter.patch_size)
        if layout is not None and wanted != (layout.canvas_size, layout.patch_size):
            raise ValueError(
                f"layout: got a canvas of {layout.canvas_size} px with patches of "
                f"{layout.patch_size} px, expected {wanted[0]} and {wanted[1]}, which is what "
                f"{inpainter.name} takes"
            )
        if self.settings.fuse in TOKEN_FUSIONS:
            self._check_tokens()
        self.moves()

    def __repr__(self) -> str:
        given = "".join(f", {name}={value!r}" for name, value in self.settings.given().items())
        return f"CanvasModel({self.inpainter!r}{given})"

    def _check_tokens(self) -> None:
        """Refuse to fuse tokens that cannot be."""
        fuse, spins = self.settings.fuse, self.settings.spins
        if not fuses_tokens(self.inpainter):
            raise ValueError(
                f"fuse: got {fuse!r}, but {self.inpainter.name} gives no scores of tokens that "
                "hold for every place at once; its answers can be fused as 'images'"
            )
        if spins not in (None, 1):
            raise ValueError(
                f"spins: got {spins} with fuse {fuse!r}, but the tokens of moved pictures stand "
                "for other places; leave it out, or fuse 'images'"
            )

    @property
    def name(self) -> str:
        """The inpainter's."""
        return self.inpainter.name

    @property
    def weights_hash(self) -> str | None:
        """The inpainter's."""
        return self.inpainter.weights_hash

    def moves(self) -> list[Move]:
        """The moves of a view's pictures; the first is none.

        Raises:
            ValueError: If there are more spins than a patch has pixels along a side.
        """
        own = self.inpainter.spins if self.settings.fuse in ANSWER_FUSIONS else 1
        spins = own if self.settings.spins is None else self.settings.spins
        return moves_within(self.inpainter.patch_size, spins=spins)

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`."""
        return unbroken(self.stream(prompts, samples=samples, seed=seed))

    def stream(
        self,
        prompts: Iterable[Prompt],
        *,
        samples: int = 1,
        seed: int = 0,
        batch_size: int = AT_ONCE,
    ) -> Iterator[Filled | Exception]:
        """See :func:`vicl.prompting.batching.answers`."""
        chunks, waiting, moves = Chunks(batch_size), iter(prompts), self.moves()
        while several := list(islice(waiting, batch_size)):
            window = Window(
                self.inpainter,
                self.settings,
                moves,
                several,
                self.members,
                chunks,
                shows=self.shows,
            )
            yield from window.answered(samples, seed)

    def grid(self, examples: int) -> Layout:
        """The grid that shows so many examples: the given one, else the general one.

        Raises:
            ValueError: If they do not fit.
        """
        return self.settings.layout or Layout.grid(
            examples,
            canvas_size=self.inpainter.canvas_size,
            patch_size=self.inpainter.patch_size,
            fit=self.settings.fit,
        )

    def members(self, prompt: Prompt) -> list[Member]:
        """The prompt's groups of examples, each in all arrangements.

        Raises:
            ValueError: If its examples cannot be shared out, or do not fit.
        """
        found: list[Member] = []
        shown = iter(range(len(prompt.examples)))
        for part in self._groups(prompt):
            count, numbers = len(part.examples), self.settings.arrangements
            own = tuple(islice(shown, count))
            layouts = arranged(self.grid(count), numbers)
            found += [
                Member(part, layout, own, number, self.border)
                for layout, number in zip(layouts, numbers, strict=True)
            ]
        return found

    def views(self, examples: int) -> int:
        """How many views a prompt of so many examples has, beside the moves of each.

        Raises:
            ValueError: If they cannot be shared out.
        """
        return self._rounds(examples) * len(self.settings.arrangements)

    def _groups(self, prompt: Prompt) -> list[Prompt]:
        """The prompt, or prompts that share out its examples."""
        return shared_out(prompt, self._rounds(len(prompt.examples)))

    def _rounds(self, count: int) -> int:
        """Among how many canvases so many examples are shared out."""
        layout, each = self.settings.layout, self.settings.examples_per_canvas
        if self.settings.fuse in ANSWER_FUSIONS and each is None:
            fitting = layout.examples if layout else most_examples(self.inpainter)
            if layout is not None and count % fitting:
                raise ValueError(
                    f"examples: got {count}, but the layout shows {fitting}; give a multiple of "
                    "it, or no layout"
                )
            return -(-count // max(1, fitting))
        each = each or (count if layout else even_share(self.inpainter, count))
        if count % each:
            raise ValueError(
                f"examples: got {count}, expected a multiple of {each}, which is how many stand on "
                "a canvas"
            )
        return count // each


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
