"""The masked autoencoder: an encoder that sees visible patches only, and a decoder of all places.

What the decoder predicts at a place is for others to say: pixels (:mod:`vicl.models.mae`) or the
codes of a VQGAN (:mod:`vicl.models.mae_vqgan`).

Source: He, Chen, Xie, Li, Dollár and Girshick 2021, arXiv:2111.06377, section 3.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vicl.encoders.layers import Linear
from vicl.models.batches import by_count, send
from vicl.models.configs import MaskedAutoencoderConfig
from vicl.models.initialisation import initialise_transformer
from vicl.models.inpainter import LearnedInpainter
from vicl.models.shapes import Hidden, Hole, Holes, Images
from vicl.models.vit import (
    PatchEmbed,
    Transformer,
    imagenet_normalise,
    patchify,
    sincos_positions,
)


class MaskedAutoencoder(LearnedInpainter):
    """Encoder, decoder and head.

    Attributes:
        encoder: Transformer over the class token and the visible patches.
        decoder: Transformer over the class token and all places.
        head: What the decoder's tokens are turned into.
    """

    config: MaskedAutoencoderConfig
    positions: Tensor
    decoder_positions: Tensor

    @property
    def _outputs(self) -> int:
        """Width of the head."""
        raise NotImplementedError

    def _build(self) -> None:
        config = self.config
        width, narrow, ratio = config.embed_dim, config.decoder_embed_dim, config.mlp_ratio
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.mask_token = nn.Parameter(torch.empty(1, 1, narrow))
        self.patch_embed = PatchEmbed(config.patch_size, width)
        self.encoder = Transformer(width, config.depth, config.num_heads, ratio)
        self.decoder_embed = Linear(width, narrow)
        self.decoder = Transformer(narrow, config.decoder_depth, config.decoder_num_heads, ratio)
        self.head: nn.Linear = Linear(narrow, self._outputs)
        initialise_transformer(self)
        # Fixed, so they are no part of the weights.
        for name, size in (("positions", width), ("decoder_positions", narrow)):
            table = sincos_positions(config.grid, size, cells=config.position_cells)
            self.register_buffer(name, table, persistent=False)

    def features(self, image: Images, hole: Hole) -> Hidden:
        """What the decoder says of all places, in raster order, for another head than its own.

        Args:
            image: Canvases, RGB in [0, 1].
            hole: True = hidden from the encoder; whole patches. None need be hidden.

        Raises:
            ValueError: If the canvases have another size than the model's, or a hole covers
                patches in part.
        """
        return self._hidden(image, self._holes(image, hole))

    def _hidden(self, image: Images, holes: Holes) -> Hidden:
        """Run encoder and decoder; gives the decoder's tokens of all places.

        Args:
            image: Canvases, RGB in [0, 1].
            holes: Patches to fill, on the CPU.
        """
        patches = patchify(image, self.patch_size)
        hidden: list[Tensor] = []
        order: list[Tensor] = []
        for rows, places in by_count(~holes):
            here = send(places, image.device)
            shown = patches[send(rows, image.device)[:, None], here]
            hidden.append(self.run_visible(shown, here))
            order.append(rows)
        if len(hidden) == 1:
            return hidden[0]
        return torch.cat(hidden)[send(torch.cat(order).argsort(), image.device)]

    def run_visible(self, patches: Float[Tensor, "b v p"], places: Int[Tensor, "b v"]) -> Hidden:
        """Encode visible patches and decode all places.

        Args:
            patches: As :func:`vicl.models.vit.patchify` cuts them; RGB in [0, 1].
            places: Of each, in raster order.
        """
        b = len(patches)
        normed = imagenet_normalise(patches).to(self.dtype)
        seen = self.patch_embed(normed) + self.positions[1:][places]
        cls = (self.cls_token + self.positions[:1]).expand(b, -1, -1)
        encoded = self.decoder_embed(self.encoder(torch.cat([cls, seen], dim=1)))
        # Under autocast what comes out of a layer has another type than the weights.
        full = self.mask_token.to(encoded.dtype).expand(b, len(self.positions) - 1, -1)
        index = places[..., None].expand(-1, -1, full.shape[2])
        full = full.scatter(1, index, encoded[:, 1:])
        out: Tensor = self.decoder(
            torch.cat([encoded[:, :1], full], dim=1) + self.decoder_positions
        )
        return out[:, 1:]
