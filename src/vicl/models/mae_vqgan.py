"""MAE-VQGAN: a masked autoencoder that fills a hole with the codes of a VQGAN.

The encoder sees the visible patches only; the decoder predicts, at every place, one of the codes of
a frozen VQGAN, which draws them.

Source: Bar, Gandelsman, Darrell, Globerson and Efros 2022, arXiv:2209.00647, section 3.
"""

from __future__ import annotations

import torch

from vicl.models.code_inpainter import ChosenCodes, CodeInpainter
from vicl.models.configs import CodeConfig, MaskedAutoencoderConfig
from vicl.models.masked_autoencoder import MaskedAutoencoder
from vicl.models.shapes import Codes, Hole, Holes, Images, Vectors
from vicl.models.tokens import GREY, token_pixels


class MAEVQGANConfig(CodeConfig, MaskedAutoencoderConfig):
    """A masked autoencoder over the codes of a VQGAN; the defaults are the published large model.

    Attributes:
        tokenizer: The VQGAN.
    """

    drawings = ("likeliest", "expected")


PUBLISHED = {
    "small": MAEVQGANConfig(embed_dim=384, depth=12, num_heads=12),
    "base": MAEVQGANConfig(embed_dim=768, depth=12, num_heads=12),
    "large": MAEVQGANConfig(),
}
"""The published sizes by name. (The published "huge" cuts 14 px patches, of which there are 256 on
a canvas, against 196 codes, so that it cannot predict them.)"""


class MAEVQGAN(MaskedAutoencoder, CodeInpainter):
    """A masked autoencoder over codes; see the two classes that it is made of.

    Attributes:
        config: The architecture.
    """

    kind = "mae-vqgan"
    config_class = MAEVQGANConfig
    config: MAEVQGANConfig

    @property
    def _outputs(self) -> int:
        return self.config.tokenizer.codebook_size

    def _vectors(self, answer: ChosenCodes, image: Images, holes: Holes) -> Vectors:
        if self.asking.drawing == "likeliest":
            return super()._vectors(answer, image, holes)
        if answer.logits is None:
            inside = super()._vectors(answer, image, holes)
        else:
            codebook = self.tokenizer.codebook
            scores = answer.logits.float() / self.asking.drawing_temperature
            mean = scores.softmax(dim=-1).to(codebook.dtype) @ codebook  # (b, n, c)
            inside = mean.view(len(mean), *self.config.grid, -1).permute(0, 3, 1, 2)
        return self._around(inside, image, holes)

    def decode(self, tokens: Codes, image: Images, hole: Hole) -> Images:
        """See :meth:`CodeInpainter.decode`.

        With `drawing` "expected" tokens outside the hole do not matter: what is there is drawn.
        """
        if self.asking.drawing == "likeliest":
            return super().decode(tokens, image, hole)
        codes = tokens.to(self.device).view(-1, *self.config.grid)
        inside = self.tokenizer.vectors(codes)
        vectors = self._around(inside, image.to(self.device), self._holes(image, hole))
        return self._draw(vectors, image, hole)

    def _around(self, inside: Vectors, image: Images, holes: Holes) -> Vectors:
        """Vectors for the holes, and elsewhere those of what is there, seen with grey holes."""
        holes = holes.to(inside.device)
        hidden = token_pixels(holes, self.config.grid, self.patch_size)
        named = self.tokenizer.encode(image.masked_fill(hidden[:, None], GREY))
        outside = self.tokenizer.vectors(named)
        return torch.where(holes.view(-1, 1, *self.config.grid), inside, outside)
