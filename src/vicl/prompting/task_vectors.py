"""Task vectors: what heads gave on examples of a task, put in place where none is shown.

The canvas has the query alone: all else of it is hole. The mean slices of some heads, over many
canvases with an example, take the place of what those heads give; which heads, at which tokens, was
searched for (:mod:`vicl.tuning.vectors`).

As published, the encoder sees the class token and the query's patches alone. There the decoder then
has no tokens for the examples' places; here it has mask tokens, as in the model's own training, so
that an answer is an ordinary one of a larger hole.

Source: Hojel, Bai, Darrell, Globerson and Bar 2024, arXiv:2404.05729, section 3, and the published
code.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from vicl.canvas.layout import Canvas, Layout
from vicl.canvas.rects import Rect
from vicl.engine import Filled, InContextModel, Inpainter, Named, rank, seed_of_draw
from vicl.images import to_tensor
from vicl.images.upsampling import Upsampling, upsample
from vicl.models.head_vectors import Chosen, Slices, patching
from vicl.models.mae_vqgan import MAEVQGAN
from vicl.models.tokens import hole_tokens
from vicl.prompt import Prompt
from vicl.prompting.learned import (
    LearnedError,
    LearnedFile,
    Told,
    pack,
    read_learned,
    unpack,
)

VECTORS: Final = "task_vectors.safetensors"
"""What the file is called in the folder of a run, and in a prompt file."""
_NAMES: Final = ("encoder", "decoder", "chosen_encoder", "chosen_decoder")


@dataclass(frozen=True, eq=False)
class TaskVectors(LearnedFile):
    """Mean slices of heads, and which of them take the place of what the heads give.

    Attributes:
        slices: Of the encoder, at the class token and the query's patches, and of the decoder, at
            the class token and all places of the canvas in raster order.
        chosen: Which of them, (layers, heads, tokens).
        told: Whose they are.
    """

    slices: tuple[Slices, Slices]
    chosen: tuple[Chosen, Chosen]
    told: Told

    def __repr__(self) -> str:
        count = sum(int(one.sum()) for one in self.chosen)
        return (
            f"TaskVectors({count} of {sum(c.numel() for c in self.chosen)}, {self.told.engine!r})"
        )

    def to_bytes(self) -> bytes:
        """As a safetensors file; the same vectors give the same bytes."""
        tensors = dict(zip(_NAMES, (*self.slices, *self.chosen), strict=True))
        return pack({name: value.contiguous() for name, value in tensors.items()}, self.told)

    def check(self, model: Named) -> MAEVQGAN:
        """The engine, if they are its own.

        Raises:
            LearnedError: If its weights are others, or the numbers do not fit it.
        """
        self.told.check("task vectors", model)
        if not isinstance(model, MAEVQGAN):
            raise LearnedError(f"task vectors: {model.name} is no MAE-VQGAN")
        shapes = tuple(tuple(one.shape) for one in (*self.slices, *self.chosen))
        if shapes != (wanted := shapes_of(model)):
            raise LearnedError(
                f"task vectors: are of the shapes {shapes}, but {model.name} has {wanted}; the "
                "file is damaged, learn them anew"
            )
        return model


def shapes_of(model: MAEVQGAN) -> tuple[tuple[int, ...], ...]:
    """The shapes of slices and of what is chosen of them, as the file has them."""
    config, places = model.config, model.config.grid[0] * model.config.grid[1]
    query = int(query_places(model).sum())
    encoder = (config.depth, config.num_heads, 1 + query)
    decoder = (config.decoder_depth, config.decoder_num_heads, 1 + places)
    wide = config.embed_dim // config.num_heads
    narrow = config.decoder_embed_dim // config.decoder_num_heads
    return (*encoder, wide), (*decoder, narrow), encoder, decoder


def layout_of(model: Inpainter) -> Layout:
    """The grid of one example, on which the vectors are recorded and used."""
    return Layout.grid(1, canvas_size=model.canvas_size, patch_size=model.patch_size)


def query_places(model: Inpainter) -> Bool[Tensor, " n"]:
    """Which patches show the query, in raster order."""
    hole = alone(layout_of(model), torch.zeros(3, 1, 1)).hole
    return ~hole_tokens(hole[None], model.patch_size)[0]


def alone(layout: Layout, query: Tensor) -> Canvas:
    """A canvas that shows the query alone; all patches of which it is no part are hole."""
    blank = torch.zeros(3, 1, 1)
    examples = [(blank, blank)] * layout.examples
    canvas = layout.compose(Prompt(examples, query))
    image = torch.full_like(canvas.image, layout.background)
    layout.query.of(image)[:] = layout.query.of(canvas.image)
    side, cell = layout.patch_size, layout.query
    hole = torch.ones_like(canvas.hole)
    top, left = cell.top // side * side, cell.left // side * side
    bottom, right = -(-cell.bottom // side) * side, -(-cell.right // side) * side
    hole[top:bottom, left:right] = False
    return Canvas(image, hole)


class VectorModel:
    """An engine that answers without looking at examples; a `vicl.engine.InContextModel`.

    Args:
        inpainter: Whose the vectors are.
        vectors: Of the task.
        upsampling: See :class:`vicl.prompting.settings.PromptSettings`.

    Raises:
        LearnedError: If they are another's.
    """

    max_size: int | None = None

    def __init__(
        self,
        inpainter: InContextModel | Inpainter,
        vectors: TaskVectors,
        *,
        upsampling: Upsampling = "guided",
    ) -> None:
        self.inpainter = vectors.check(inpainter)
        device = self.inpainter.device
        self._slices = tuple(one.to(device) for one in vectors.slices)
        self._chosen = tuple(one.to(device) for one in vectors.chosen)
        self.upsampling: Upsampling = upsampling
        self.layout = layout_of(self.inpainter)

    @property
    def name(self) -> str:
        """The inpainter's."""
        return self.inpainter.name

    @property
    def weights_hash(self) -> str | None:
        """The inpainter's."""
        return self.inpainter.weights_hash

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; examples are not looked at."""
        return [self._answer(to_tensor(prompt.query), samples, seed) for prompt in prompts]

    def _answer(self, query: Tensor, samples: int, seed: int) -> Filled:
        canvas = alone(self.layout, query)
        answers = [self._filled(query, canvas, None)]
        for draw in range(1, samples):
            generator = Generator().manual_seed(seed_of_draw(seed, draw))
            answers.append(self._filled(query, canvas, generator))
        return rank(answers)

    def _filled(self, query: Tensor, canvas: Canvas, generator: Generator | None) -> Filled:
        with patching(self.inpainter, self._slices, self._chosen):
            found = self.inpainter.inpaint(
                canvas.image[None],
                canvas.hole[None],
                generators=None if generator is None else [generator],
            )
        size = (query.shape[1], query.shape[2])

        def enlarge(values: Tensor, part: Rect) -> Tensor:
            return upsample(values, part.size, guide=part.of(query), method=self.upsampling)

        cell, sure = self.layout.crop(found.image[0]), found.confidence
        shown = None if sure is None else self.layout.crop(sure[0])[None]
        return Filled(
            image=self.layout.undraw(cell, size, enlarge),
            confidence=None if shown is None else self.layout.undraw(shown, size, enlarge)[0],
            log_likelihood=None if found.log_likelihood is None else found.log_likelihood[0],
            cell=cell,
            canvas=found.image[0],
        )


def read_vectors(data: bytes, name: str) -> TaskVectors:
    """Task vectors of the bytes of their file, which may come from a stranger.

    Raises:
        LearnedError: If it is none, or broken.
    """
    tensors, told = unpack(data, Told, name)
    kinds = {key: (one.dtype, one.ndim) for key, one in tensors.items()}
    wanted = {n: (torch.float32, 4) if n in _NAMES[:2] else (torch.bool, 3) for n in _NAMES}
    if kinds != wanted:
        raise LearnedError(
            f"{name}: holds {', '.join(sorted(kinds))[:200]}, expected slices and choices of an "
            "encoder and a decoder; the file is damaged, learn the vectors anew"
        )
    encoder, decoder, chosen_encoder, chosen_decoder = (tensors[key] for key in _NAMES)
    return TaskVectors((encoder, decoder), (chosen_encoder, chosen_decoder), told)


def as_vectors(given: TaskVectors | str | os.PathLike[str] | None) -> TaskVectors | None:
    """Task vectors, their file, or the folder of the run that made them.

    Raises:
        LearnedError: If there are none, or they are broken.
    """
    if given is None or isinstance(given, TaskVectors):
        return given
    return read_vectors(*read_learned(given, VECTORS))
