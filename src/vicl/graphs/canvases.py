"""A MAE-VQGAN's prompt as a graph: the examples stand on their canvases, the query varies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.canvas.layout import Layout
from vicl.canvas.moves import Move, moved
from vicl.graphs.pixels import enlarged, shrunk
from vicl.models.mae_vqgan import MAEVQGAN
from vicl.models.tokens import GREY, hole_tokens, token_pixels
from vicl.models.vit import patchify
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import CanvasModel

_LUMA = (0.299, 0.587, 0.114)
"""As :mod:`vicl.tasks.image` turns queries gray."""


class CanvasGraph(nn.Module):
    """One prompt of a MAE-VQGAN: a query to the picture of each pass.

    Args:
        asked: The model and how it is asked; answers or images are fused, cells are stretched.
        prompts: One a pass, with any query.
        in_gray: Queries are turned gray first.
        scores: Give the brightness of each picture, (k, h, w), in place of the first picture.
    """

    def __init__(
        self, asked: CanvasModel, prompts: Sequence[Prompt], *, in_gray: bool, scores: bool
    ) -> None:
        super().__init__()
        assert isinstance(asked.inpainter, MAEVQGAN)
        self.inpainter, self.in_gray, self.scores = asked.inpainter, in_gray, scores
        self.guided = asked.settings.upsampling == "guided"
        self.by_cells = asked.settings.fuse == "images"
        moves = asked.moves()
        self.passes = nn.ModuleList(
            nn.ModuleList(_Canvas(one.layout, moves, one.prompt) for one in asked.members(prompt))
            for prompt in prompts
        )

    def forward(self, query: Float[Tensor, "1 3 h w"]) -> Tensor:
        """The picture, (3, h, w) in [0, 1]; or the brightness of all passes' pictures.

        Args:
            query: RGB in [0, 1].
        """
        seen = query
        if self.in_gray:
            weights = query.new_tensor(_LUMA)[:, None, None]
            seen = (query * weights).sum(1, keepdim=True).clamp(0, 1).expand(-1, 3, -1, -1)
        pictures = [self._picture(members, query, seen) for members in self.passes]
        if not self.scores:
            return pictures[0].clamp(0, 1)
        return torch.stack([picture.mean(0) for picture in pictures])

    def _picture(self, members: nn.Module, query: Tensor, seen: Tensor) -> Float[Tensor, "3 h w"]:
        cells = [canvas(seen, self.inpainter) for canvas in members.children()]
        if self.by_cells:
            cells = [torch.stack(cells).mean(0)]
        return torch.stack([enlarged(cell, seen, guided=self.guided) for cell in cells]).mean(0)


class _Canvas(nn.Module):
    """A share of the examples on a layout, once for each move."""

    base: Tensor
    places: Tensor
    holes: Tensor
    hidden: Tensor

    def __init__(self, layout: Layout, moves: Sequence[Move], prompt: Prompt) -> None:
        super().__init__()
        blank = Prompt(prompt.examples, torch.zeros(3, *layout.query.size))
        canvases = list(layout.compose_moved(blank, moves))
        base = torch.stack([canvas.image for canvas in canvases])
        layout.query.of(base)[:] = 0
        hole = canvases[0].hole[None]
        holes = hole_tokens(hole, layout.patch_size)
        grid = (
            layout.canvas_size[0] // layout.patch_size,
            layout.canvas_size[1] // layout.patch_size,
        )
        self.layout, self.moves, self.grid = layout, tuple(moves), grid
        self.register_buffer("base", base)
        self.register_buffer("places", (~holes[0]).nonzero()[:, 0][None])
        self.register_buffer("holes", holes.view(1, 1, *grid))
        self.register_buffer("hidden", token_pixels(holes, grid, layout.patch_size)[:, None])

    def forward(self, seen: Float[Tensor, "1 3 h w"], inpainter: MAEVQGAN) -> Tensor:
        """What stands in the answer's cell, (3, ch, cw): the mean over the moves."""
        cell, (height, width) = self.layout.query, self.layout.canvas_size
        picture = shrunk(seen, cell.size)[0]
        around = (cell.left, width - cell.right, cell.top, height - cell.bottom)
        drawn = torch.stack([F.pad(moved(picture, by), around) for by in self.moves])
        filled = self.layout.answer.of(self._filled(self.base + drawn, inpainter))
        # See vicl.canvas.moves.mean_of_moved.
        back: list[Tensor] = []
        told: list[Tensor] = []
        for one, (down, right) in zip(filled, self.moves, strict=True):
            whole = torch.ones_like(one[:1])
            for part, into in ((one, back), (whole, told)):
                into.append(F.pad(part[:, down:, right:], (0, right, 0, down)))
        return torch.stack(back).sum(0) / torch.stack(told).sum(0)

    def _filled(self, image: Float[Tensor, "v 3 H W"], inpainter: MAEVQGAN) -> Tensor:
        """See :meth:`vicl.models.code_inpainter.CodeInpainter.inpaint`; drawn in whole."""
        count, tokenizer = len(image), inpainter.tokenizer
        places = self.places.expand(count, -1)
        patches = patchify(image, inpainter.patch_size)[:, self.places[0]]
        logits = inpainter.head(inpainter.run_visible(patches, places)).float()
        if inpainter.asking.drawing == "likeliest":
            vectors = tokenizer.vectors(logits.argmax(-1).view(count, *self.grid))
        else:
            chances = (logits / inpainter.asking.drawing_temperature).softmax(-1)
            inside = (chances @ tokenizer.codebook).view(count, *self.grid, -1)
            shown = torch.where(self.hidden, GREY, image)
            outside = tokenizer.vectors(tokenizer.nearest(tokenizer.latents(shown)))
            vectors = torch.where(self.holes, inside.permute(0, 3, 1, 2), outside)
        return (tokenizer.render(vectors).clamp(-1, 1) + 1) / 2
