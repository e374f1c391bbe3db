"""Architectures as plain numbers, checked: what a model's `config.json` holds.

A configuration says what a model is made of and nothing else; a model built from it has random
weights.  The published sizes are in :data:`PUBLISHED`; `tiny` is our own, for tests.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

Size = Literal["tiny", "small", "base", "large"]


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class VQGANConfig(_Config):
    """A VQGAN; the defaults are the published ImageNet f16 model with 1024 codes.

    Attributes:
        base_width: Channels of the finest level (published name `ch`).
        multipliers: Channels of each level as multiples of `base_width`, finest level first; each
            level but the last halves the image (`ch_mult`).
        blocks: Residual blocks a level in the encoder; the decoder has one more
            (`num_res_blocks`).
        attention_levels: Levels, counted from 0 = finest, with attention after every residual
            block.
        latent_dim: Channels between encoder and codebook (`z_channels`).
        codebook_size: Number of codes (`n_embed`).
        codebook_dim: Length of a code (`embed_dim`).
        norm_groups: Groups of every group normalisation.
    """

    base_width: PositiveInt = 128
    multipliers: tuple[PositiveInt, ...] = Field(
        default=(1, 1, 2, 2, 4), min_length=1, max_length=8
    )
    blocks: PositiveInt = 2
    attention_levels: tuple[int, ...] = (4,)
    latent_dim: PositiveInt = 256
    codebook_size: PositiveInt = 1024
    codebook_dim: PositiveInt = 256
    norm_groups: PositiveInt = 32

    @property
    def patch_size(self) -> int:
        """Side of the square of pixels that a code stands for."""
        return int(2 ** (len(self.multipliers) - 1))

    @model_validator(mode="after")
    def _check(self) -> VQGANConfig:
        for multiplier in self.multipliers:
            width = self.base_width * multiplier
            if width % self.norm_groups:
                raise ValueError(
                    f"base_width: got a level of {width} channels, expected a multiple of "
                    f"norm_groups = {self.norm_groups}"
                )
        if any(not 0 <= level < len(self.multipliers) for level in self.attention_levels):
            raise ValueError(
                f"attention_levels: got {self.attention_levels}, expected numbers from 0 to "
                f"{len(self.multipliers) - 1}"
            )
        return self


class MAEVQGANConfig(_Config):
    """A masked autoencoder over the codes of a VQGAN; the defaults are the published large model.

    Attributes:
        canvas_size: (height, width) in pixels, a multiple of `patch_size`.
        patch_size: Side of a patch in pixels; also what a code of the tokenizer stands for.
        embed_dim: Width of the encoder; a multiple of 4 and of `num_heads`.
        depth: Blocks of the encoder.
        num_heads: Attention heads of the encoder.
        decoder_embed_dim: Width of the decoder; a multiple of 4 and of `decoder_num_heads`.
        decoder_depth: Blocks of the decoder.
        decoder_num_heads: Attention heads of the decoder.
        mlp_ratio: Width of the hidden layer of an MLP as a multiple of the block's width.
        tokenizer: The VQGAN.
    """

    canvas_size: tuple[PositiveInt, PositiveInt] = (224, 224)
    patch_size: PositiveInt = 16
    embed_dim: PositiveInt = 1024
    depth: PositiveInt = 24
    num_heads: PositiveInt = 16
    decoder_embed_dim: PositiveInt = 512
    decoder_depth: PositiveInt = 8
    decoder_num_heads: PositiveInt = 16
    mlp_ratio: PositiveFloat = 4.0
    tokenizer: VQGANConfig = VQGANConfig()

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches on a canvas."""
        return self.canvas_size[0] // self.patch_size, self.canvas_size[1] // self.patch_size

    @model_validator(mode="after")
    def _check(self) -> MAEVQGANConfig:
        if any(side % self.patch_size for side in self.canvas_size):
            raise ValueError(
                f"canvas_size: got {self.canvas_size}, expected multiples of patch_size = "
                f"{self.patch_size}"
            )
        if self.patch_size != self.tokenizer.patch_size:
            raise ValueError(
                f"patch_size: got {self.patch_size}, expected {self.tokenizer.patch_size}, which "
                "is what a code of the tokenizer stands for (two to the number of its levels - 1)"
            )
        for name, width, heads in (
            ("embed_dim", self.embed_dim, self.num_heads),
            ("decoder_embed_dim", self.decoder_embed_dim, self.decoder_num_heads),
        ):
            if width % 4 or width % heads:
                raise ValueError(
                    f"{name}: got {width}, expected a multiple of 4 and of its {heads} heads"
                )
        return self


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


def small(canvas_size: tuple[int, int] = (224, 224)) -> MAEVQGANConfig:
    """The published small model: encoder 384 wide, 12 blocks, 12 heads."""
    return MAEVQGANConfig(canvas_size=canvas_size, embed_dim=384, depth=12, num_heads=12)


def base(canvas_size: tuple[int, int] = (224, 224)) -> MAEVQGANConfig:
    """The published base model: encoder 768 wide, 12 blocks, 12 heads."""
    return MAEVQGANConfig(canvas_size=canvas_size, embed_dim=768, depth=12, num_heads=12)


def large(canvas_size: tuple[int, int] = (224, 224)) -> MAEVQGANConfig:
    """The published large model: encoder 1024 wide, 24 blocks, 16 heads."""
    return MAEVQGANConfig(canvas_size=canvas_size)


PUBLISHED = {"small": small, "base": base, "large": large}
"""The published sizes by name. (The published "huge" cuts 14 px patches, of which there are 256 on
a canvas, against 196 codes, so that it cannot predict them.)"""
