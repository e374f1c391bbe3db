"""BEiT: one transformer over all patches, the hidden ones replaced, that predicts codes.

The codes are those of a frozen VQGAN, where the published model has a discrete VAE's; positions are
fixed, where the published model learns relative ones, so that it compares with MAE-VQGAN.

Source: Bao, Dong, Piao and Wei 2021, arXiv:2106.08254, section 2.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vicl.models.batches import send
from vicl.models.code_inpainter import CodeInpainter, DecodeRegion
from vicl.models.configs import BEiTConfig
from vicl.models.initialisation import initialise_transformer, seeded
from vicl.models.vit import (
    PatchEmbed,
    Transformer,
    imagenet_normalise,
    patchify,
    sincos_positions,
)


class BEiT(CodeInpainter):
    """A transformer over the class token and all places.

    Attributes:
        config: The architecture.
        mask_token: Stands for the embedding of a hidden patch.
        encoder: The transformer.
    """

    config: BEiTConfig
    positions: Tensor

    def __init__(
        self, config: BEiTConfig, *, seed: int = 0, decode_region: DecodeRegion = "full"
    ) -> None:
        """Build the model.

        Args:
            config: The architecture.
            seed: Of the random weights.
            decode_region: See :data:`vicl.models.code_inpainter.DecodeRegion`; may be changed at
                any time.
        """
        super().__init__("beit", config)
        width = config.embed_dim
        with seeded(seed):
            self.cls_token = nn.Parameter(torch.empty(1, 1, width))
            self.mask_token = nn.Parameter(torch.empty(1, 1, width))
            self.patch_embed = PatchEmbed(config.patch_size, width)
            self.encoder = Transformer(width, config.depth, config.num_heads, config.mlp_ratio)
            self.head = nn.Linear(width, config.tokenizer.codebook_size)
            initialise_transformer(self)
        self._add_tokenizer(config.tokenizer, seed, decode_region)
        self.register_buffer("positions", sincos_positions(config.grid, width), persistent=False)

    def _hidden(
        self, image: Float[Tensor, "b 3 H W"], holes: Bool[Tensor, "b n"]
    ) -> Float[Tensor, "b n d"]:
        hidden = send(holes, image.device)[..., None]  # (b, n, 1)
        # Blank before the embedding too: what is no number would come back through its gradient.
        patches = patchify(image, self.patch_size).masked_fill(hidden, 0.0)
        seen = self.patch_embed(imagenet_normalise(patches).to(self.dtype))
        tokens = torch.where(hidden, self.mask_token, seen) + self.positions[1:]
        cls = (self.cls_token + self.positions[:1]).expand(len(image), -1, -1)
        out: Tensor = self.encoder(torch.cat([cls, tokens], dim=1))
        return out[:, 1:]
