"""The protocols: what fills a hole, answers a prompt, describes an image, or cuts out a thing.

An :class:`Inpainter` fills the hole of a canvas and knows nothing of tasks.  An
:class:`InContextModel` answers a whole prompt.  An :class:`Encoder` gives features.  A
:class:`Segmenter` answers clicks, a box and the like with masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Generator, Tensor

from vicl.images import ImageLike, brief_fields, to_tensor
from vicl.prompt import Example, Prompt
from vicl.prompt import MaskPrompt as MaskPrompt


@dataclass(frozen=True)
class View:
    """One of several ways in which a prompt was asked, and what came of it.

    Attributes:
        examples: Which of the prompt's examples it showed, counted from 0.
        arrangement: Of the grid (:data:`vicl.canvas.arrangements.ARRANGEMENTS`).
        log_likelihood: Of its answer, comparable among views on grids of one size; None if the
            engine has none.
        agreement: With the fused answer, in [0, 1]: see :func:`vicl.prompting.fusing.agreement`;
            where tokens are fused, the share of the hole's tokens that are the fused ones.
    """

    examples: tuple[int, ...]
    arrangement: int
    log_likelihood: float | None
    agreement: float


@dataclass(frozen=True, eq=False)
class Filled:
    """What an engine gives back: a batch of canvases, or the answer to one prompt.

    Attributes:
        image: Float RGB in [0, 1]. From an inpainter (b, 3, H, W), whole canvases; from
            :meth:`InContextModel.answer` (3, h, w), at the query's size.
        confidence: How sure the engine is of each pixel, in [0, 1]; None if it cannot say.
        log_likelihood: Of the whole answer, for ranking answers to the same prompt: comparable
            within one engine only. None if the engine has none.
        cell: The answer as inpainted, before it was brought to the query's size; the mean where
            there were several views. None for engines without a canvas, or where the views' cells
            differ in size.
        canvas: The filled canvas; the first view's where there are several. Of several spins it
            shows the mean.
        alternatives: Further, different answers, best first, where more than one was asked for.
        presence: How likely it is, [0, 1], that what the examples mark is in the query at all, by
            the engine's own weighing of misses and inventions; None if it cannot say.
        objects: Numbers of separate objects, from 1; 0 is none of them. None if the engine does not
            tell them apart, or was not asked to.
        views: Those that were asked, where there are several and they were fused by the engine.
    """

    image: Float[Tensor, "*b 3 h w"]
    confidence: Float[Tensor, "*b h w"] | None = None
    log_likelihood: Float[Tensor, "*b"] | None = None
    cell: Float[Tensor, "3 ch cw"] | None = None
    canvas: Float[Tensor, "3 H W"] | None = None
    alternatives: tuple[Filled, ...] = ()
    presence: float | None = None
    objects: Int[Tensor, "h w"] | None = None
    views: tuple[View, ...] = ()

    def __repr__(self) -> str:
        return brief_fields(self)


@dataclass(frozen=True)
class Sampling:
    """How a random answer is drawn.

    Attributes:
        temperature: Scores are divided by it: below 1 nearer to the likeliest answer, above 1
            more varied.
        top_k: Draw among this many of the likeliest values only; None for all.
        coherent: Draw one noise for all places of an answer, not one for each. Every place has the
            same distribution either way; but where the same few values compete everywhere, an
            answer then takes one side throughout instead of mixing them place by place.
    """

    temperature: float = 1.0
    top_k: int | None = None
    coherent: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"temperature: got {self.temperature}, expected more than 0")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k: got {self.top_k}, expected at least 1")


@runtime_checkable
class Named(Protocol):
    """What says which one it is."""

    @property
    def name(self) -> str:
        """What people call it, as `vicl models` lists it."""
        ...

    @property
    def weights_hash(self) -> str | None:
        """SHA-256 of its weights, in hex; None if it has none."""
        ...


@runtime_checkable
class Inpainter(Named, Protocol):
    """Anything that fills holes: `f` of the paper."""

    @property
    def canvas_size(self) -> tuple[int, int]:
        """(height, width) of the canvases that it takes, in pixels."""
        ...

    @property
    def patch_size(self) -> int:
        """Holes are made of whole patches of this side, in pixels."""
        ...

    @property
    def most_examples(self) -> int | None:
        """How many examples it was trained to see at once; None: as many as fit on a canvas."""
        ...

    @property
    def spins(self) -> int:
        """Steps along each axis by which it wants to be asked again (:mod:`vicl.canvas.moves`)."""
        ...

    def inpaint(
        self,
        image: Float[Tensor, "b 3 H W"],
        hole: Bool[Tensor, "b H W"],
        *,
        sampling: Sampling | None = None,
        generators: Sequence[Generator] | None = None,
    ) -> Filled:
        """Fill the holes; pixels outside them come back unchanged.

        What lies under a hole makes no difference, and each canvas gets what it would get alone.

        Args:
            image: Canvases, RGB in [0, 1].
            hole: True = to fill.
            sampling: How random answers are drawn, where `generators` are given; None is
                `Sampling()`.
            generators: One a canvas, to draw a random answer; None gives the most likely one.
        """
        ...


@runtime_checkable
class TokenInpainter(Inpainter, Protocol):
    """An inpainter that predicts tokens of a vocabulary, and draws them."""

    @property
    def fills_by_scores(self) -> bool:
        """Whether :meth:`token_logits` are the scores by which it fills a hole.

        Those of an autoregressive model are not: it looks at each token as soon as it is chosen.
        """
        ...

    def token_logits(
        self, image: Float[Tensor, "b 3 H W"], hole: Bool[Tensor, "b H W"]
    ) -> Float[Tensor, "b n k"]:
        """Score the `k` tokens of the vocabulary at all `n` places of the canvas, row by row."""
        ...

    def decode(
        self,
        tokens: Int[Tensor, "b n"],
        image: Float[Tensor, "b 3 H W"],
        hole: Bool[Tensor, "b H W"],
    ) -> Float[Tensor, "b 3 H W"]:
        """Draw tokens, pasted into the holes of `image`."""
        ...


@runtime_checkable
class Tokenizer(Protocol):
    """Names the patches of an image by tokens, and draws tokens as an image."""

    @property
    def codebook_size(self) -> int:
        """How many tokens there are."""
        ...

    @property
    def patch_size(self) -> int:
        """Side of the square of pixels that a token stands for."""
        ...

    def encode(self, image: Float[Tensor, "b 3 H W"]) -> Int[Tensor, "b h w"]:
        """Name the patches of images in [0, 1]."""
        ...

    def decode(self, tokens: Int[Tensor, "b h w"]) -> Float[Tensor, "b 3 H W"]:
        """Draw images in [0, 1]."""
        ...


@dataclass(frozen=True, eq=False)
class Features:
    """What an encoder sees in a batch of images.

    Attributes:
        levels: On grids, finest first, float32: one a stride, `h` and `w` over it.
        whole: Of each image as a whole.
    """

    levels: tuple[Float[Tensor, "b _c _h _w"], ...]
    whole: Float[Tensor, "b d"]

    def __repr__(self) -> str:
        return brief_fields(self)


@runtime_checkable
class Encoder(Named, Protocol):
    """Anything that turns images into features."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels from one place of a level to the next, a level each; several may be equal."""
        ...

    @property
    def channels(self) -> tuple[int, ...]:
        """How many features a place has, a level each."""
        ...

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Features:
        """Encode RGB images in [0, 1]; each gets what it would get alone.

        Raises:
            ValueError: If `h` or `w` is not a multiple of every stride.
        """
        ...


@runtime_checkable
class InContextModel(Named, Protocol):
    """Anything that answers a prompt.

    The images of the prompts are drawn already: outputs are images, not annotations.
    """

    @property
    def max_size(self) -> int | None:
        """Longest side of a query, in pixels, that it should be given whole; None for any."""
        ...

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """Answer each prompt, in order, at its query's size.

        A prompt's answer depends on that prompt, `samples` and `seed` alone, never on the other
        prompts of the batch.

        Args:
            prompts: One or more.
            samples: How many different answers to give; the best is the answer, the others its
                `alternatives`. An engine that has fewer gives fewer.
            seed: Of everything random.
        """
        ...


@runtime_checkable
class PartialModel(InContextModel, Protocol):
    """An engine of masks that learns from parts of a mask, and tells more than which pixels.

    Pixels of an example's output that are gray (:data:`vicl.tasks.segmentation.UNKNOWN`) between
    black and white are unknown to it.
    """

    def asked(
        self, *, min_presence: float | None = None, objects: bool = False, masks: bool = False
    ) -> PartialModel:
        """The engine, asked otherwise.

        Args:
            min_presence: Chance of being there, [0, 1], under which an answer is empty; None: as
                it is.
            objects: Give :attr:`Filled.objects`.
            masks: Outputs are masks, however thin or small what they mark is.
        """
        ...


@dataclass(frozen=True, eq=False)
class Candidates:
    """The masks that a prompt may mean, best first.

    Attributes:
        masks: At the image's own size.
        scores: The IoU that each is expected to have with what was meant, in [0, 1].
        stability: IoU of each with itself, drawn a little wider and a little narrower, in [0, 1];
            None from a segmenter that cannot say.
    """

    masks: Bool[np.ndarray, "n h w"]
    scores: Float32[np.ndarray, " n"]
    stability: Float32[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return len(self.masks)

    def __repr__(self) -> str:
        count, height, width = self.masks.shape
        scores = ", ".join(f"{score:.2f}" for score in self.scores[:4])
        more = ", …" if count > 4 else ""
        return f"Candidates({count} of {height}x{width}, scores={scores}{more})"

    def pick(self, order: Sequence[int] | Int[np.ndarray, " m"]) -> Candidates:
        """Those at some places, in that order."""
        at = np.asarray(order, np.int64)
        stability = None if self.stability is None else self.stability[at]
        return Candidates(self.masks[at], self.scores[at], stability)

    def example(self, image: ImageLike, *, which: int = 0) -> Example:
        """One of them as the example of a task: click once on this image, run on others.

        Args:
            image: What the masks are of.
            which: The best is 0.
        """
        return Example(image, self.masks[which])


@runtime_checkable
class PromptableImage(Protocol):
    """An image that a segmenter has encoded: see :mod:`vicl.segmenters.encoded`."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image, in pixels."""
        ...

    @property
    def accepts(self) -> frozenset[str]:
        """Which of :data:`vicl.prompt.WAYS` it takes."""
        ...

    @property
    def masks(self) -> Callable[..., Candidates]:
        """Answers one prompt, given as :class:`MaskPrompt` takes it."""
        ...

    @property
    def everything(self) -> Callable[..., Candidates]:
        """Gives all masks; see :func:`vicl.segmenters.everything.everything`."""
        ...

    def many(self, prompts: Sequence[MaskPrompt]) -> list[Candidates]:
        """Answer several prompts, in order; each gets what it would get alone."""
        ...

    def sketches(self, prompts: Sequence[MaskPrompt]) -> list[Candidates]:
        """Answer as :meth:`many`, with masks that may be smaller than the image: to choose by."""
        ...


@runtime_checkable
class Segmenter(Named, Protocol):
    """Anything that encodes an image once, and then answers any :class:`MaskPrompt` quickly."""

    @property
    def accepts(self) -> frozenset[str]:
        """Which of :data:`vicl.prompt.WAYS` it takes."""
        ...

    def encode(self, image: ImageLike) -> PromptableImage:
        """The costly part, once an image.

        Raises:
            ImageError: If the image cannot be read.
        """
        ...


def seed_of_draw(seed: int, draw: int) -> int:
    """The seed of the draw of a further answer, counted from 1, for any seed that is allowed."""
    return (seed * 1_000_003 + draw) % (1 << 63)


def rank(answers: Sequence[Filled]) -> Filled:
    """Make one answer of several to the same prompt: the likeliest, the others as alternatives.

    Answers whose 8-bit pictures coincide count once. Where an engine gives no likelihood, their
    order stays.
    """
    distinct: list[Filled] = []
    for answer in answers:
        if not any(same_picture(answer, other) for other in distinct):
            distinct.append(answer)
    distinct.sort(key=lambda a: 0.0 if a.log_likelihood is None else -float(a.log_likelihood))
    return replace(distinct[0], alternatives=tuple(distinct[1:]))


def same_picture(one: Filled, other: Filled) -> bool:
    """Whether two answers are the same picture in 8 bits."""
    return torch.equal(one.image.mul(255).round(), other.image.mul(255).round())


def drawn(example: Example) -> tuple[Tensor, Tensor]:
    """Input and output of a drawn example as float RGB tensors (3, h, w) in [0, 1]."""
    return to_tensor(example.input), to_tensor(example.output)
