"""Ensembling: one prompt on several canvases, and one answer of them all.

The same prompt is laid out in several arrangements, or each of its examples has a canvas of its
own.  An inpainter that scores tokens says for each canvas how likely every token is at every place
of the answer; these scores are fused, and one answer is drawn from them.  Answers of any inpainter
can be averaged as images.

Source: Bar et al. 2022, arXiv:2209.00647 (prompt ensembling); arrangements as in Sun et
al. 2023, arXiv:2304.04748.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from vicl.canvas.layout import ARRANGEMENTS, Canvas, Layout
from vicl.canvas.rects import Rect
from vicl.engine import Filled, Inpainter, TokenInpainter
from vicl.images import to_tensor
from vicl.images.upsampling import Upsampling, upsample
from vicl.models.tokens import hole_tokens
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import even_share

TokenFusion = Literal["probabilities", "logits", "product", "max"]
Fusion = TokenFusion | Literal["images"]
"""How answers become one.

probabilities: the mean of the tokens' probabilities; logits: the mean of their scores; product:
the product of their probabilities; max: the greatest of their probabilities; each token's, then
the likeliest token is drawn.  images: the mean of the drawn answers.  The product chooses the same
tokens as the mean of the scores, which differ from logarithms of probabilities by one number a
place; only how sure it is of them differs.
"""
FUSIONS: tuple[Fusion, ...] = (*get_args(TokenFusion), "images")


@dataclass(frozen=True, eq=False)
class Ensemble:
    """An inpainter asked on several canvases: an :class:`vicl.engine.InContextModel`.

    It has one answer; nothing is random. Each canvas is asked once, whatever the inpainter says of
    spins.

    The answer's place in the hole moves with the arrangement by up to the grid's gap, so that
    places of tokens agree to within that.

    Attributes:
        inpainter: What fills the holes.
        arrangements: Numbers of :data:`vicl.canvas.layout.ARRANGEMENTS`; the answer is drawn on the
            canvas of the first.
        fuse: See :data:`Fusion`.
        examples_per_canvas: How many of a prompt's examples stand on a canvas, the others on
            canvases of their own; None for all of them on one, or as many as the inpainter was
            trained on (see :func:`vicl.prompting.canvas_model.even_share`).
        layout: The grid, for as many examples as stand on a canvas; None takes the general one.
        upsampling: How the answer is brought to the query's size.

    Raises:
        ValueError: If the inpainter cannot be fused so, or an option is none that there is.
    """

    inpainter: Inpainter
    arrangements: tuple[int, ...] = tuple(ARRANGEMENTS)
    fuse: Fusion = "probabilities"
    examples_per_canvas: int | None = None
    layout: Layout | None = None
    upsampling: Upsampling = "guided"
    max_size: int | None = None

    def __post_init__(self) -> None:
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
        if self.fuse != "images" and not scores_places(self.inpainter):
            raise ValueError(
                f"fuse: got {self.fuse!r}, but {self.inpainter.name} gives no scores of tokens "
                "that hold for every place at once; its answers can be fused as 'images'"
            )

    @property
    def name(self) -> str:
        """The inpainter's."""
        return self.inpainter.name

    @property
    def weights_hash(self) -> str | None:
        """The inpainter's."""
        return self.inpainter.weights_hash

    @torch.no_grad()
    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`.

        The canvases of a prompt are a batch.

        Raises:
            ValueError: If a prompt's examples cannot be shared out evenly, or do not fit.
        """
        return [self._answer(prompt) for prompt in prompts]

    def _answer(self, prompt: Prompt) -> Filled:
        members = self._members(prompt)
        layouts = [layout for layout, _ in members]
        canvases = [layout.compose(part) for layout, part in members]
        if self.fuse == "images":
            cell, canvas, confidence, likelihood = self._mean_image(canvases, layouts)
        else:
            cell, canvas, confidence, likelihood = self._drawn(canvases, layouts[0], self.fuse)
        query = to_tensor(prompt.query)
        size = (query.shape[1], query.shape[2])

        def enlarge(values: Tensor, part: Rect) -> Tensor:
            return upsample(values, part.size, guide=part.of(query), method=self.upsampling)

        return Filled(
            image=layouts[0].undraw(cell, size, enlarge),
            confidence=None
            if confidence is None
            else layouts[0].undraw(confidence[None], size, enlarge)[0],
            log_likelihood=likelihood,
            cell=cell,
            canvas=canvas,
        )

    def _members(self, prompt: Prompt) -> list[tuple[Layout, Prompt]]:
        """The prompt on every canvas: group by group of examples, every arrangement of each."""
        count = len(prompt.examples)
        all_on_one = count if self.layout else even_share(self.inpainter, count)
        each = self.examples_per_canvas or all_on_one
        if count % each:
            raise ValueError(
                f"examples: got {count}, expected a multiple of {each}, which is how many stand on "
                "a canvas"
            )
        base = self.layout or Layout.grid(
            each,
            canvas_size=self.inpainter.canvas_size,
            patch_size=self.inpainter.patch_size,
        )
        layouts = [base.arranged(arrangement) for arrangement in self.arrangements]
        if any(
            (layout.canvas_size, layout.answer.size, layout.hole.size)
            != (base.canvas_size, base.answer.size, base.hole.size)
            for layout in layouts
        ):
            raise ValueError(
                f"arrangements: {self.arrangements} turn a grid that is not square on its side; "
                "take arrangements among 1 to 4"
            )
        parts = [
            Prompt(prompt.examples[start : start + each], prompt.query)
            for start in range(0, count, each)
        ]
        return [(layout, part) for part in parts for layout in layouts]

    def _drawn(
        self, canvases: Sequence[Canvas], layout: Layout, fuse: TokenFusion
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw the tokens that are likeliest by all canvases, on the first.

        Returns:
            Cell (3, h, w) and canvas (3, H, W), the cell's confidence (h, w), the log-likelihood.
        """
        assert isinstance(self.inpainter, TokenInpainter)
        image, hole = _stacked(canvases)
        logits = self.inpainter.token_logits(image, hole).float().cpu()  # (m, n, k)
        places = hole_tokens(hole, self.inpainter.patch_size)  # (m, n)
        inside = torch.stack([row[chosen] for row, chosen in zip(logits, places, strict=True)])
        fused = fuse_logits(inside, fuse)  # (p, k)
        best, tokens = fused.max(dim=-1)
        everywhere = logits[0].argmax(dim=-1)
        everywhere[places[0]] = tokens
        canvas = self.inpainter.decode(everywhere[None], image[:1], hole[:1])[0]
        side = self.inpainter.patch_size
        rows, columns = (length // side for length in layout.hole.size)
        sure = best.exp().view(rows, columns)
        sure = sure.repeat_interleave(side, dim=0).repeat_interleave(side, dim=1)
        inner = Rect(
            layout.answer.top - layout.hole.top,
            layout.answer.left - layout.hole.left,
            *layout.answer.size,
        )
        return layout.crop(canvas), canvas, inner.of(sure), best.sum()

    def _mean_image(
        self, canvases: Sequence[Canvas], layouts: Sequence[Layout]
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Average the cells of all canvases; the first canvas shows the mean."""
        filled = self.inpainter.inpaint(*_stacked(canvases))
        cell = _mean_cell(filled.image, layouts)
        canvas = filled.image[0].clone()
        layouts[0].answer.of(canvas)[:] = cell
        sure = filled.confidence
        confidence = None if sure is None else _mean_cell(sure, layouts)
        likelihood = filled.log_likelihood
        return cell, canvas, confidence, None if likelihood is None else likelihood.mean()


def fuse_logits(logits: Float[Tensor, "m p k"], fuse: TokenFusion) -> Float[Tensor, "p k"]:
    """Fuse what several canvases say of the same places.

    Args:
        logits: Scores of `k` tokens at `p` places, from each of `m` canvases.
        fuse: See :data:`Fusion`.

    Returns:
        Logarithms of probabilities, which sum to 1 at each place.
    """
    each = logits.log_softmax(dim=-1)
    if fuse == "probabilities":
        mixed = each.logsumexp(dim=0)
    elif fuse == "logits":
        mixed = logits.mean(dim=0)
    elif fuse == "product":
        mixed = each.sum(dim=0)
    else:
        mixed = each.amax(dim=0)
    return mixed.log_softmax(dim=-1)


def scores_places(inpainter: Inpainter) -> bool:
    """Whether an inpainter's scores of tokens are those by which it fills a hole.

    Those of an autoregressive model are not: it looks at each token as soon as it is chosen.
    """
    from vicl.models.autoregressive import Autoregressive

    return isinstance(inpainter, TokenInpainter) and not isinstance(inpainter, Autoregressive)


def _stacked(canvases: Sequence[Canvas]) -> tuple[Tensor, Tensor]:
    """Images (m, 3, H, W) and holes (m, H, W)."""
    return (
        torch.stack([canvas.image for canvas in canvases]),
        torch.stack([canvas.hole for canvas in canvases]),
    )


def _mean_cell(values: Float[Tensor, "m *c H W"], layouts: Sequence[Layout]) -> Tensor:
    cells = [layout.crop(one) for layout, one in zip(layouts, values, strict=True)]
    return torch.stack(cells).mean(dim=0)
