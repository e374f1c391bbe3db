"""What inpainters over the codes of a frozen VQGAN share: logits, drawing, answers, loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.canvas.rects import Rect
from vicl.engine import Filled, Sampling
from vicl.models.configs import CodeConfig
from vicl.models.inpainter import LearnedInpainter
from vicl.models.shapes import Codes, Hidden, Hole, Holes, Images, Vectors
from vicl.models.tokens import choose_tokens, paste, token_pixels
from vicl.models.vqgan import VQGAN

DecodeRegion = Literal["full", "answer"]
"""Draw the whole canvas and take the hole out of it, as published; or little more than the hole,
which is quicker and not quite the same."""


class ChosenCodes(NamedTuple):
    """An answer in codes, of all places of each canvas.

    Attributes:
        codes: One a place, in raster order.
        log_probs: Of these codes.
        logits: From which the likeliest were taken; None where the codes were drawn at random, or
            one after the other.
    """

    codes: Codes
    log_probs: Float[Tensor, "b n"]
    logits: Float[Tensor, "b n k"] | None


class CodeInpainter(LearnedInpainter):
    """A :class:`vicl.engine.TokenInpainter` over the codes of a VQGAN.

    Attributes:
        head: Scores of the codes from what the transformer says of a place.
        tokenizer: The VQGAN; frozen.
        decode_region: How much of the canvas is drawn; may be changed at any time.
    """

    config: CodeConfig
    head: nn.Linear
    fills_by_scores = True

    def __init__(
        self, config: CodeConfig, *, seed: int = 0, decode_region: DecodeRegion = "full"
    ) -> None:
        """Build the model.

        Args:
            config: The architecture.
            seed: Of the random weights.
            decode_region: See :data:`DecodeRegion`; may be changed at any time.
        """
        super().__init__(config, seed=seed)
        self.tokenizer = VQGAN(config.tokenizer, seed=seed).requires_grad_(False)
        self.decode_region: DecodeRegion = decode_region

    def token_logits(self, image: Images, hole: Hole) -> Float[Tensor, "b n k"]:
        """Score every code at every place of the canvas, in raster order.

        Args:
            image: Canvases, RGB in [0, 1]; what lies under the holes is never looked at.
            hole: True = to fill; whole patches. Canvases may have holes of different sizes.

        Raises:
            ValueError: If the canvases have another size than the model's, or a hole covers
                patches in part.
        """
        return self._each(
            lambda one, holes: self.head(self._hidden(one, holes)),
            image.to(self.device),
            self._holes(image, hole),
        )

    def decode(self, tokens: Codes, image: Images, hole: Hole) -> Images:
        """Draw tokens, and set what they show into the holes.

        Args:
            tokens: One a place, in raster order; those outside the hole matter too, since the
                VQGAN draws a patch with regard to the others.
            image: Canvases, RGB in [0, 1].
            hole: True = to fill; whole patches.
        """
        codes = tokens.to(self.device).view(-1, *self.config.grid)
        return self._draw(self.tokenizer.vectors(codes), image, hole)

    def _draw(self, vectors: Vectors, image: Images, hole: Hole) -> Images:
        """Draw vectors of codes, and set what they show into the holes."""
        home = image.device
        image, hole = image.to(self.device), hole.to(self.device)
        holes = self._holes(image, hole).view(-1, *self.config.grid)
        if self.decode_region == "full":
            return paste(self.tokenizer.draw(vectors), image, hole).to(home)
        drawn = torch.zeros_like(image)
        for row, box in enumerate(holes):
            if bool(box.any()):
                part = _bounds(box)
                pixels = Rect(*(self.patch_size * v for v in (part.top, part.left, *part.size)))
                pixels.of(drawn[row])[:] = self.tokenizer.draw(vectors[row : row + 1], part)[0]
        return paste(drawn, image, hole).to(home)

    @torch.no_grad()
    def inpaint(
        self,
        image: Images,
        hole: Hole,
        *,
        sampling: Sampling | None = None,
        generators: Sequence[Generator] | None = None,
    ) -> Filled:
        """See :meth:`vicl.engine.Inpainter.inpaint`.

        The confidence of a pixel is the probability of its patch's code, and 1 outside the hole;
        the log-likelihood is the sum of the log-probabilities of the hole's codes.
        """
        home = image.device
        image, hole = image.to(self.device), hole.to(self.device)
        holes = self._holes(image, hole)
        answer = self._answer(image, holes, sampling, generators)
        chosen = answer.log_probs.masked_fill(~holes.to(self.device), 0.0)
        confidence = token_pixels(chosen.exp(), self.config.grid, self.patch_size)
        return Filled(
            image=self._draw(self._vectors(answer, image, holes), image, hole).to(home),
            confidence=confidence.to(home),
            log_likelihood=chosen.sum(dim=1).to(home),
        )

    def _vectors(self, answer: ChosenCodes, image: Images, holes: Holes) -> Vectors:
        """What is drawn of an answer: vectors of codes for all places."""
        return self.tokenizer.vectors(answer.codes.view(-1, *self.config.grid))

    def loss(self, image: Images, hole: Hole, *, target: Images | None = None) -> Float[Tensor, ""]:
        """Cross-entropy of the tokenizer's codes of `target`; see :meth:`LearnedInpainter.loss`."""
        with torch.no_grad():
            codes = self.tokenizer.encode(image if target is None else target).flatten(1)
        return self.loss_on_codes(image, hole, codes)

    def loss_on_codes(self, image: Images, hole: Hole, codes: Codes) -> Float[Tensor, ""]:
        """Cross-entropy of codes that are known already, over the holes' patches of the batch.

        Args:
            image: Canvases, RGB in [0, 1].
            hole: True = to fill; whole patches. Best on the CPU.
            codes: Of the clean canvases, in raster order.

        Raises:
            ValueError: As :meth:`loss`.
        """
        holes = self._holes(image, hole)
        return self._cross_entropy(self._hidden(image, holes), holes, codes)

    def _hidden(self, image: Images, holes: Holes) -> Hidden:
        """What the head turns into scores, of all places; `holes` are on the CPU."""
        raise NotImplementedError

    def _answer(
        self,
        image: Images,
        holes: Holes,
        sampling: Sampling | None,
        generators: Sequence[Generator] | None,
    ) -> ChosenCodes:
        """Choose the codes of all places."""
        logits = self._each(lambda *one: self.head(self._hidden(*one)), image, holes)
        codes, log_probs = choose_tokens(
            logits, holes.to(logits.device), sampling=sampling, generators=generators
        )
        return ChosenCodes(codes, log_probs, None if generators else logits)

    def _cross_entropy(self, hidden: Hidden, holes: Holes, codes: Codes) -> Float[Tensor, ""]:
        """Only the holes' places are scored."""
        places = self._places(holes)
        logits = self.head(hidden.flatten(0, 1)[places])
        return F.cross_entropy(logits.float(), codes.flatten()[places])


def _bounds(places: Bool[Tensor, "h w"]) -> Rect:
    """The smallest rectangle around the places."""
    rows, columns = torch.where(places)
    top, left = int(rows.min()), int(columns.min())
    return Rect(top, left, int(rows.max()) + 1 - top, int(columns.max()) + 1 - left)
