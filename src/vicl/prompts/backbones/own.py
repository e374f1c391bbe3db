"""The encoder of vicl's own masked autoencoders as a backbone: a small ViT."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vicl.files import display
from vicl.images.imagenet import IMAGENET_MEAN, IMAGENET_STD
from vicl.models.masked_autoencoder import MaskedAutoencoder
from vicl.models.registry import kinds
from vicl.models.vit import patchify
from vicl.prompts.backbones.backbone import Reading, TokenBackbone
from vicl.storage.folder import CONFIG, ModelError, read_manifest


class OwnBackbone(TokenBackbone):
    """The encoder of a masked autoencoder, all patches visible; features are the patches' mean.

    Args:
        net: Its decoder is not used, and not kept.
        source: How it is called.

    Raises:
        ModelError: If its canvas is no square.
    """

    def __init__(self, net: MaskedAutoencoder, source: str) -> None:
        super().__init__()
        height, width = net.config.canvas_size
        if height != width:
            raise ModelError(
                f"{source}: its canvas has {height}x{width} pixels, expected a square for a "
                "backbone"
            )
        self.cls_token, self.patch_embed, self.encoder = (
            net.cls_token,
            net.patch_embed,
            net.encoder,
        )
        self.register_buffer("positions", net.positions, persistent=False)
        self.source, self.weights_hash = source, net.weights_hash
        self.reading = Reading(None, height, "bicubic")
        self.depth, self.dim = len(self.encoder.blocks), net.config.embed_dim
        self.prefix, self.patch, self.width = 1, net.patch_size, self.dim
        self.colours(IMAGENET_MEAN, IMAGENET_STD)

    def embed(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b n d"]:
        """See :meth:`TokenBackbone.embed`."""
        positions = cast("Tensor", self.positions)
        seen = self.patch_embed(patchify(pixels, self.patch)) + positions[1:]
        cls = (self.cls_token + positions[:1]).expand(len(pixels), -1, -1)
        return torch.cat([cls, seen], dim=1)

    def layer(self, index: int, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """See :meth:`TokenBackbone.layer`."""
        found: Tensor = self.encoder.blocks[index](tokens)
        return found

    def finish(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """See :meth:`TokenBackbone.finish`."""
        found: Tensor = self.encoder.norm(tokens)
        return found

    def pool(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b w"]:
        """See :meth:`TokenBackbone.pool`: nothing taught the class token to speak for the image."""
        return tokens[:, 1:].mean(dim=1)

    def class_tokens(self) -> list[nn.Parameter]:
        """See :meth:`TokenBackbone.class_tokens`."""
        return [self.cls_token]

    def blocks(self) -> list[nn.Module]:
        """See :meth:`Backbone.blocks`."""
        return list(self.encoder.blocks)

    def tail(self) -> list[nn.Module]:
        """See :meth:`Backbone.tail`."""
        return [self.encoder.norm]


def open_own(folder: Path, source: str) -> OwnBackbone:
    """The encoder of a model folder of vicl's.

    Raises:
        ModelError: If it is broken, or holds no masked autoencoder.
    """
    manifest = read_manifest(folder)
    kind = kinds().get(manifest.model)
    if kind is None or not issubclass(kind.model, MaskedAutoencoder):
        fit = [name for name, one in kinds().items() if issubclass(one.model, MaskedAutoencoder)]
        raise ModelError(
            f"{display(folder / CONFIG)}: got the model {manifest.model[:80]!r}, expected one with "
            f"an encoder of patches for a backbone: {', '.join(fit)}"
        )
    net = kind.model.open(folder, manifest, device="cpu", dtype="float32")
    assert isinstance(net, MaskedAutoencoder)  # as the kind says
    return OwnBackbone(net, source)
