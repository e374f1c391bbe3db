"""MAE-VQGAN: a masked autoencoder that fills a hole with the codes of a VQGAN.

The encoder sees the visible patches only; the decoder predicts, at every place, one of the codes of
a frozen VQGAN, which draws them.

Source: Bar, Gandelsman, Darrell, Globerson and Efros 2022, arXiv:2209.00647, section 3.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vicl.models.code_inpainter import ChosenCodes, CodeInpainter, DecodeRegion
from vicl.models.configs import MAEVQGANConfig
from vicl.models.initialisation import seeded
from vicl.models.masked_autoencoder import MaskedAutoencoder
from vicl.models.tokens import GREY, token_pixels


class MAEVQGAN(MaskedAutoencoder, CodeInpainter):
    """A masked autoencoder over codes; see the two classes that it is made of.

    Attributes:
        config: The architecture.
    """

    config: MAEVQGANConfig

    def __init__(
        self, config: MAEVQGANConfig, *, seed: int = 0, decode_region: DecodeRegion = "full"
    ) -> None:
        """Build the model.

        Args:
            config: The architecture.
            seed: Of the random weights.
            decode_region: See :data:`vicl.models.code_inpainter.DecodeRegion`; may be changed at
                any time.
        """
        super().__init__("mae-vqgan", config)
        with seeded(seed):
            self._build(config.tokenizer.codebook_size)
        self._add_tokenizer(config.tokenizer, seed, decode_region)

    def _vectors(
        self, answer: ChosenCodes, image: Float[Tensor, "b 3 H W"], holes: Bool[Tensor, "b n"]
    ) -> Float[Tensor, "b c h w"]:
        if self.config.drawing == "likeliest":
            return super()._vectors(answer, image, holes)
        if answer.logits is None:
            inside = super()._vectors(answer, image, holes)
        else:
            codebook = self.tokenizer.codebook
            scores = answer.logits.float() / self.config.drawing_temperature
            mean = scores.softmax(dim=-1).to(codebook.dtype) @ codebook  # (b, n, c)
            inside = mean.view(len(mean), *self.config.grid, -1).permute(0, 3, 1, 2)
        return self._around(inside, image, holes)

    def decode(
        self,
        tokens: Int[Tensor, "b n"],
        image: Float[Tensor, "b 3 H W"],
        hole: Bool[Tensor, "b H W"],
    ) -> Float[Tensor, "b 3 H W"]:
        """See :meth:`CodeInpainter.decode`.

        With `drawing` "expected" tokens outside the hole do not matter: what is there is drawn.
        """
        if self.config.drawing == "likeliest":
            return super().decode(tokens, image, hole)
        codes = tokens.to(self.device).view(-1, *self.config.grid)
        inside = self.tokenizer.vectors(codes)
        vectors = self._around(inside, image.to(self.device), self._holes(image, hole))
        return self._draw(vectors, image, hole)

    def _around(
        self,
        inside: Float[Tensor, "b c h w"],
        image: Float[Tensor, "b 3 H W"],
        holes: Bool[Tensor, "b n"],
    ) -> Float[Tensor, "b c h w"]:
        """Vectors for the holes, and elsewhere those of what is there, seen with grey holes."""
        holes = holes.to(inside.device)
        hidden = token_pixels(holes, self.config.grid, self.patch_size)
        named = self.tokenizer.encode(image.masked_fill(hidden[:, None], GREY))
        outside = self.tokenizer.vectors(named)
        return torch.where(holes.view(-1, 1, *self.config.grid), inside, outside)
