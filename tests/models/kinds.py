"""Every kind of inpainter that can be trained, tiny, and canvases for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from tests.pictures import picture
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.models.autoregressive import Autoregressive, AutoregressiveConfig
from vicl.models.beit import BEiT, BEiTConfig
from vicl.models.configs import Asking, VQGANConfig
from vicl.models.mae import MAE, MAEConfig
from vicl.models.mae_vqgan import MAEVQGAN, MAEVQGANConfig
from vicl.models.unet import UNet, UNetConfig
from vicl.models.vqgan import VQGAN

SQUARE, WIDE = (64, 64), (32, 64)
PATCH = 8


def tiny(canvas_size: tuple[int, int] = (64, 64)) -> MAEVQGANConfig:
    """A model of our own for tests: patches of 8 px, 64 codes, some 0.2 million weights."""
    return MAEVQGANConfig(
        canvas_size=canvas_size,
        patch_size=8,
        embed_dim=48,
        depth=2,
        num_heads=4,
        decoder_embed_dim=32,
        decoder_depth=2,
        decoder_num_heads=4,
        tokenizer=VQGANConfig(
            base_width=8,
            multipliers=(1, 1, 2, 2),
            blocks=1,
            attention_levels=(3,),
            latent_dim=16,
            codebook_size=64,
            codebook_dim=16,
            norm_groups=4,
        ),
    )


def numbers(canvas_size: tuple[int, int], *without: str) -> dict[str, Any]:
    """The tiny MAE-VQGAN's, those named left out."""
    return tiny(canvas_size).model_dump(exclude=set(without))


_DECODER = ("decoder_embed_dim", "decoder_depth", "decoder_num_heads", "position_cells")


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    Attributes:
        model: Its class.
        config: Its tiny configuration for a canvas size.
        asking: How it is asked, if not as others are.
    """

    model: type[Any]
    config: Callable[[tuple[int, int]], Any]
    asking: Asking | None = None

    def build(self, canvas_size: tuple[int, int] = SQUARE, *, seed: int = 0) -> Any:
        """A model in which what comes out depends visibly on everything that goes in."""
        model = self.model(self.config(canvas_size), seed=seed).eval()
        model.asking = self.asking or model.asking
        if isinstance(getattr(model, "tokenizer", None), VQGAN):
            spread_codes(model.tokenizer)
        return model


def spread_codes(tokenizer: VQGAN) -> None:
    """Set a random VQGAN's codes among its latents of a few pictures, so that many are used."""
    with torch.no_grad():
        shown = torch.cat([smooth(8, SQUARE, seed=100), smooth(8, SQUARE, seed=200)])
        latents = tokenizer.latents(shown).permute(0, 2, 3, 1).flatten(0, 2)
        order = torch.randperm(len(latents), generator=Generator().manual_seed(0))
        tokenizer.codebook.copy_(latents[order[: tokenizer.codebook_size]])


KINDS = {
    "mae-vqgan": Kind(MAEVQGAN, tiny),
    "mae-vqgan-expected": Kind(MAEVQGAN, tiny, Asking(drawing="expected")),
    "mae": Kind(MAE, lambda size: MAEConfig(**numbers(size, "tokenizer"))),
    "mae-plain": Kind(
        MAE, lambda size: MAEConfig(**numbers(size, "tokenizer"), normalise_patches=False)
    ),
    "beit": Kind(BEiT, lambda size: BEiTConfig(**numbers(size, *_DECODER))),
    "autoregressive": Kind(
        Autoregressive, lambda size: AutoregressiveConfig(**numbers(size, *_DECODER))
    ),
    "unet": Kind(
        UNet,
        lambda size: UNetConfig(canvas_size=size, patch_size=PATCH, widths=(8, 16, 32, 32, 32)),
    ),
}
CODES = ("mae-vqgan", "mae-vqgan-expected", "beit", "autoregressive")


def holes(*places: tuple[int, int, int, int], size: tuple[int, int] = SQUARE) -> Tensor:
    """Holes (b, H, W) from (top, left, bottom, right) in patches of 8 px."""
    hole = torch.zeros(len(places), *size, dtype=torch.bool)
    for row, (top, left, bottom, right) in enumerate(places):
        hole[row, PATCH * top : PATCH * bottom, PATCH * left : PATCH * right] = True
    return hole


def batch(size: tuple[int, int] = SQUARE) -> tuple[Tensor, Tensor]:
    """Three noisy canvases with holes of three sizes, all of which hold the last patch."""
    rows, columns = size[0] // PATCH, size[1] // PATCH
    hole = holes(
        (rows // 2, columns // 2, rows, columns),
        (0, columns // 2, rows, columns),
        (rows - 1, columns - 3, rows, columns),
        size=size,
    )
    return torch.stack([picture(*size, seed=i) for i in range(3)]), hole


def smooth(count: int, size: tuple[int, int], *, seed: int) -> Tensor:
    """Canvases of soft colours (b, 3, H, W)."""
    coarse = torch.rand(count, 3, 4, 4, generator=Generator().manual_seed(seed))
    return F.interpolate(coarse, size, mode="bicubic").clamp(0, 1)
