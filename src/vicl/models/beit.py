"""BEiT: one transformer over all patches, the hidden ones replaced, that predicts codes.

The codes are those of a frozen VQGAN, where the published model has a discrete VAE's; positions are
fixed, where the published model learns relative ones, so that it compares with MAE-VQGAN.

Source: Bao, Dong, Piao and Wei 2021, arXiv:2106.08254, section 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vicl.encoders.layers import Linear
from vicl.models.batches import send
from vicl.models.code_inpainter import CodeInpainter
from vicl.models.configs import CodeConfig
from vicl.models.initialisation import initialise_transformer
from vicl.models.shapes import Hidden, Holes, Images
from vicl.models.vit import (
    PatchEmbed,
    Transformer,
    imagenet_normalise,
    patchify,
    sincos_positions,
)


class BEiTConfig(CodeConfig):
    """One transformer over all patches, the hidden ones replaced, over the codes of a VQGAN."""


class BEiT(CodeInpainter):
    """A transformer over the class token and all places.

    Attributes:
        config: The architecture.
        mask_token: Stands for the embedding of a hidden patch.
        encoder: The transformer.
    """

    kind = "beit"
    config_class = BEiTConfig
    config: BEiTConfig
    positions: Tensor

    def _build(self) -> None:
        config, width = self.config, self.config.embed_dim
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        self.patch_embed = PatchEmbed(config.patch_size, width)
        self.encoder = Transformer(width, config.depth, config.num_heads, config.mlp_ratio)
        self.head: nn.Linear = Linear(width, config.tokenizer.codebook_size)
        initialise_transformer(self)
        self.register_buffer("positions", sincos_positions(config.grid, width), persistent=False)

    def _hidden(self, image: Images, holes: Holes) -> Hidden:
        hidden = send(holes, image.device)[..., None]  # (b, n, 1)
        # Blank before the embedding too: what is no number would come back through its gradient.
        patches = patchify(image, self.patch_size).masked_fill(hidden, 0.0)
        seen = self.patch_embed(imagenet_normalise(patches).to(self.dtype))
        tokens = torch.where(hidden, self.mask_token, seen) + self.positions[1:]
        cls = (self.cls_token + self.positions[:1]).expand(len(image), -1, -1)
        out: Tensor = self.encoder(torch.cat([cls, tokens], dim=1))
        return out[:, 1:]
