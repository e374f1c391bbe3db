"""MAE-VQGAN: a masked autoencoder that fills a hole with the codes of a VQGAN.

The encoder sees the visible patches only; the decoder predicts, at every place, one of the codes of
a frozen VQGAN, which draws them.

Source: Bar, Gandelsman, Darrell, Globerson and Efros 2022, arXiv:2209.00647, section 3.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vicl.models.code_inpainter import ChosenCodes, CodeInpainter, DecodeRegion
from vicl.models.configs import MAEVQGANConfig
from vicl.models.initialisation import seeded
from vicl.models.masked_autoencoder import MaskedAutoencoder


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
        grid, tokenizer = self.config.grid, self.tokenizer
        if answer.logits is None:
            inside = tokenizer.vectors(answer.codes.view(-1, *grid))
        else:
            shares = answer.logits.float().softmax(dim=-1).to(tokenizer.codebook.dtype)
            mean = shares @ tokenizer.codebook  # (b, n, c)
            inside = mean.view(len(mean), *grid, -1).permute(0, 3, 1, 2)
        hidden = holes.to(inside.device).view(-1, 1, *grid)
        return torch.where(hidden, inside, tokenizer.vectors(tokenizer.encode(image)))
