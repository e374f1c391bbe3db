"""An inpainter on a layout: plan the views of a prompt, compose, inpaint, crop, fuse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice

from vicl.canvas.arrangements import ARRANGEMENTS
from vicl.canvas.layout import Layout
from vicl.canvas.moves import Move, moves_within
from vicl.canvas.rects import Fit
from vicl.engine import Filled, Inpainter, Sampling
from vicl.images.upsampling import Upsampling
from vicl.prompt import Prompt
from vicl.prompting.batching import AT_ONCE, Chunks, unbroken
from vicl.prompting.fusing import FUSIONS, TOKEN_FUSIONS, Fusion, fuses_tokens
from vicl.prompting.views import Member, arranged, even_share, most_examples, shared_out
from vicl.prompting.window import Window


@dataclass(frozen=True, eq=False)
class CanvasModel:
    """An inpainter that answers prompts; a :class:`vicl.engine.InContextModel`.

    A prompt's views are all arrangements of all groups of its examples, each with all moves of its
    pictures; what they give is fused into one answer. The answer's place in the hole moves with the
    arrangement by up to the grid's gap, so that places of tokens agree to within that.

    Attributes:
        inpainter: What fills the hole.
        layout: The grid to use; None takes the general grid for each prompt's number of
            examples. Where more examples come than the layout (or the canvas) holds, they are
            answered in groups.
        fit: How images of other shapes go into the general grid's cells; a given layout has its
            own.
        spins: Steps along each axis by which a view is asked again, moved by parts of a patch
            (see :mod:`vicl.canvas.moves`): `spins` squared canvases. None: as the inpainter says,
            where answers are fused, else 1. An answer's likelihood is that of its canvases without
            a move. Of answers that are drawn at random none is a mean over moves.
        upsampling: How the cell's answer is brought to the query's size.
        sampling: How answers after the first are drawn, where several are asked for. The first
            is the likeliest at every place. Where tokens are fused there is one answer.
        arrangements: Numbers of `vicl.canvas.arrangements`; the answer is drawn
            on the canvas of the first.
        fuse: See :data:`vicl.prompting.fusing.Fusion`.
        examples_per_canvas: How many of a prompt's examples stand on a canvas, the others on
            canvases of their own. None: as many as fit, shared out; where cells are fused, evenly.

    Raises:
        ValueError: If an option is none that there is, or does not suit the inpainter.
    """

    inpainter: Inpainter
    layout: Layout | None = None
    fit: Fit = "stretch"
    spins: int | None = None
    upsampling: Upsampling = "guided"
    max_size: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    arrangements: tuple[int, ...] = (1,)
    fuse: Fusion = "answers"
    examples_per_canvas: int | None = None

    def __post_init__(self) -> None:
        wanted = (self.inpainter.canvas_size, self.inpainter.patch_size)
        if self.layout is not None and wanted != (
            self.layout.canvas_size,
            self.layout.patch_size,
        ):
            raise ValueError(
                f"layout: got a canvas of {self.layout.canvas_size} px with patches of "
                f"{self.layout.patch_size} px, expected {wanted[0]} and {wanted[1]}, which is what "
                f"{self.inpainter.name} takes"
            )
        if self.fuse not in FUSIONS:
            raise ValueError(f"fuse: got {self.fuse!r}, expected one of {', '.join(FUSIONS)}")
        if not self.arrangements or any(a not in ARRANGEMENTS for a in self.arrangements):
            raise ValueError(
                f"arrangements: got {self.arrangements}, expected numbers from 1 to "
                f"{len(ARRANGEMENTS)}, at least one"
            )
        if self.examples_per_canvas is not None and self.examples_per_canvas < 1:
            raise ValueError(
                f"examples_per_canvas: got {self.examples_per_canvas}, expected at least 1, or "
                "None for all"
            )
        if self.fuse in TOKEN_FUSIONS:
            self._check_tokens()
        self.moves()

    def _check_tokens(self) -> None:
        """Refuse to fuse tokens that cannot be."""
        if not fuses_tokens(self.inpainter):
            raise ValueError(
                f"fuse: got {self.fuse!r}, but {self.inpainter.name} gives no scores of tokens "
                "that hold for every place at once; its answers can be fused as 'images'"
            )
        if self.spins not in (None, 1):
            raise ValueError(
                f"spins: got {self.spins} with fuse {self.fuse!r}, but the tokens of moved "
                "pictures stand for other places; leave it out, or fuse 'images'"
            )

    @property
    def name(self) -> str:
        """The inpainter's."""
        return self.inpainter.name

    @property
    def weights_hash(self) -> str | None:
        """The inpainter's."""
        return self.inpainter.weights_hash

    def settings(self) -> dict[str, object]:
        """How it is asked, as :class:`vicl.prompting.settings.PromptSettings` names it."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: v for name, v in named.items() if name not in ("inpainter", "max_size")}

    def moves(self) -> list[Move]:
        """The moves of a view's pictures; the first is none.

        Raises:
            ValueError: If there are more spins than a patch has pixels along a side.
        """
        own = self.inpainter.spins if self.fuse == "answers" else 1
        return moves_within(
            self.inpainter.patch_size, spins=own if self.spins is None else self.spins
        )

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
        chunks, waiting = Chunks(batch_size), iter(prompts)
        while window := list(islice(waiting, batch_size)):
            asked = Window(
                self.inpainter,
                window,
                plan=self.members,
                moves=self.moves(),
                fuse=self.fuse,
                upsampling=self.upsampling,
                sampling=self.sampling,
                chunks=chunks,
            )
            yield from asked.answered(samples, seed)

    def members(self, prompt: Prompt) -> list[Member]:
        """The prompt's groups of examples, each in all arrangements.

        Raises:
            ValueError: If its examples cannot be shared out, or do not fit.
        """
        members = []
        for part in self._groups(prompt):
            base = self.layout or Layout.grid(
                len(part.examples),
                canvas_size=self.inpainter.canvas_size,
                patch_size=self.inpainter.patch_size,
                fit=self.fit,
            )
            members += [Member(part, layout) for layout in arranged(base, self.arrangements)]
        return members

    def _groups(self, prompt: Prompt) -> list[Prompt]:
        """The prompt, or prompts that share out its examples."""
        count, fixed = len(prompt.examples), self.examples_per_canvas
        if self.fuse == "answers" and fixed is None:
            fitting = self.layout.examples if self.layout else most_examples(self.inpainter)
            if self.layout is not None and count % fitting:
                raise ValueError(
                    f"examples: got {count}, but the layout shows {fitting}; give a multiple of "
                    "it, or no layout"
                )
            return shared_out(prompt, -(-count // max(1, fitting)))
        each = fixed or (count if self.layout else even_share(self.inpainter, count))
        if count % each:
            raise ValueError(
                f"examples: got {count}, expected a multiple of {each}, which is how many stand on "
                "a canvas"
            )
        return shared_out(prompt, count // each)
