"""Architectures as plain numbers, checked: what a model's `config.json` holds.

A configuration says what a model is made of and nothing else; a model built from it has random
weights.  The published sizes are in :data:`PUBLISHED`; `tiny` is our own, for tests.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

Size = Literal["tiny", "small", "base", "large"]


class Config(BaseModel):
    """What every configuration says of the size of its model, beside its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def largest_table(self) -> int:
        """Numbers in the largest table that is computed, not loaded: the positions'."""
        return 0

    @property
    def deepest_stack(self) -> int:
        """Layers or blocks in the deepest stack."""
        raise NotImplementedError


class PatchConfig(Config):
    """A transformer over the patches of a canvas: what all of them have.

    Attributes:
        canvas_size: (height, width) in pixels, a multiple of `patch_size`.
        patch_size: Side of a patch in pixels; where there is a tokenizer, also what one of its
            codes stands for.
        embed_dim: Width of the (first) transformer; a multiple of 4 and of `num_heads`.
        depth: Its blocks.
        num_heads: Its attention heads.
        mlp_ratio: Width of the hidden layer of an MLP as a multiple of the block's width.
        most_examples: How many examples a canvas may show, where it was trained on so few; more
            are answered in groups. None: as many as fit.
        spins: Steps along each axis by which a prompt is asked again, moved by parts of a patch
            (see :mod:`vicl.canvas.moves`): 1 to 8, and at most `patch_size`.
    """

    canvas_size: tuple[PositiveInt, PositiveInt] = (224, 224)
    patch_size: PositiveInt = 16
    most_examples: PositiveInt | None = None
    spins: int = Field(default=1, ge=1, le=8)
    embed_dim: PositiveInt = 1024
    depth: PositiveInt = 24
    num_heads: PositiveInt = 16
    mlp_ratio: PositiveFloat = 4.0

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches on a canvas."""
        return self.canvas_size[0] // self.patch_size, self.canvas_size[1] // self.patch_size

    @property
    def largest_table(self) -> int:
        """See :attr:`Config.largest_table`."""
        return self.grid[0] * self.grid[1] * self.embed_dim

    @property
    def deepest_stack(self) -> int:
        """See :attr:`Config.deepest_stack`."""
        return self.depth

    @model_validator(mode="after")
    def _check_canvas(self) -> PatchConfig:
        if any(side % self.patch_size for side in self.canvas_size):
            raise ValueError(
                f"canvas_size: got {self.canvas_size}, expected multiples of patch_size = "
                f"{self.patch_size}"
            )
        _check_spins(self.spins, self.patch_size)
        _check_width("embed_dim", self.embed_dim, self.num_heads)
        return self


def _check_spins(spins: int, patch_size: int) -> None:
    if spins > patch_size:
        raise ValueError(f"spins: got {spins}, expected at most patch_size = {patch_size}")


def _check_width(name: str, width: int, heads: int) -> None:
    if width % 4 or width % heads:
        raise ValueError(f"{name}: got {width}, expected a multiple of 4 and of its {heads} heads")


def _check_cells(cells: int, grid: tuple[int, int], *widths: int) -> None:
    if any(side % cells for side in grid) or any(width % 8 for width in widths):
        raise ValueError(
            f"position_cells: got {cells} with {grid} patches and widths of {widths}, expected a "
            "divisor of both sides and widths that are multiples of 8"
        )


def _check_codes(patch_size: int, tokenizer: VQGANConfig) -> None:
    if patch_size != tokenizer.patch_size:
        raise ValueError(
            f"patch_size: got {patch_size}, expected {tokenizer.patch_size}, which is what a code "
            "of the tokenizer stands for (two to the number of its levels - 1)"
        )


class VQGANConfig(Config):
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

    @property
    def deepest_stack(self) -> int:
        """See :attr:`Config.deepest_stack`."""
        return self.blocks

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


class MaskedAutoencoderConfig(PatchConfig):
    """An encoder of the visible patches and a decoder of all; the defaults are the large model's.

    Attributes:
        decoder_embed_dim: Width of the decoder; a multiple of 4 and of `decoder_num_heads`.
        decoder_depth: Blocks of the decoder.
        decoder_num_heads: Attention heads of the decoder.
        position_cells: Into how many cells a side the canvas is parted; a position then is that of
            the cell and that inside the cell, so that what stands at the same place of two cells
            is easily compared. 1: not at all, as published.
    """

    decoder_embed_dim: PositiveInt = 512
    decoder_depth: PositiveInt = 8
    decoder_num_heads: PositiveInt = 16
    position_cells: PositiveInt = 1

    @property
    def largest_table(self) -> int:
        """See :attr:`Config.largest_table`."""
        return self.grid[0] * self.grid[1] * max(self.embed_dim, self.decoder_embed_dim)

    @property
    def deepest_stack(self) -> int:
        """See :attr:`Config.deepest_stack`."""
        return max(self.depth, self.decoder_depth)

    @model_validator(mode="after")
    def _check_decoder(self) -> MaskedAutoencoderConfig:
        _check_width("decoder_embed_dim", self.decoder_embed_dim, self.decoder_num_heads)
        if self.position_cells > 1:
            _check_cells(self.position_cells, self.grid, self.embed_dim, self.decoder_embed_dim)
        return self


class MAEVQGANConfig(MaskedAutoencoderConfig):
    """A masked autoencoder over the codes of a VQGAN; the defaults are the published large model.

    Attributes:
        tokenizer: The VQGAN.
        drawing: What the VQGAN draws. "likeliest", as published: at every place of the canvas the
            likeliest code.  "expected": in the hole the mean of the codes' vectors by their
            probabilities, which is blurred where the model is in doubt, and elsewhere the codes of
            what is there; answers that are drawn at random have codes in the hole too.
        drawing_temperature: Of "expected", above 0: logits are divided by it before they become
            probabilities; below 1 the mean is nearer to the likeliest code. "likeliest" takes none
            but 1.
    """

    tokenizer: VQGANConfig = VQGANConfig()
    drawing: Literal["likeliest", "expected"] = "likeliest"
    drawing_temperature: PositiveFloat = 1.0

    @property
    def deepest_stack(self) -> int:
        """See :attr:`Config.deepest_stack`."""
        return max(super().deepest_stack, self.tokenizer.deepest_stack)

    @model_validator(mode="after")
    def _check_tokenizer(self) -> MAEVQGANConfig:
        _check_codes(self.patch_size, self.tokenizer)
        return self

    @model_validator(mode="after")
    def _check_drawing(self) -> MAEVQGANConfig:
        if self.drawing == "likeliest" and self.drawing_temperature != 1:
            raise ValueError(
                f"drawing_temperature: got {self.drawing_temperature:g} with drawing 'likeliest', "
                "which has none; leave it out, or say drawing: expected"
            )
        return self


class MAEConfig(MaskedAutoencoderConfig):
    """A masked autoencoder over pixels.

    Attributes:
        normalise_patches: Predict each patch's pixels normalised by the patch's own mean and
            deviation, as published, and these two beside them, so that the hole can be drawn;
            else the pixels themselves.
    """

    normalise_patches: bool = True


class BEiTConfig(PatchConfig):
    """One transformer over all patches, the hidden ones replaced, over the codes of a VQGAN.

    Attributes:
        tokenizer: The VQGAN.
    """

    tokenizer: VQGANConfig = VQGANConfig()

    @property
    def deepest_stack(self) -> int:
        """See :attr:`Config.deepest_stack`."""
        return max(super().deepest_stack, self.tokenizer.deepest_stack)

    @model_validator(mode="after")
    def _check_tokenizer(self) -> BEiTConfig:
        _check_codes(self.patch_size, self.tokenizer)
        return self


class AutoregressiveConfig(BEiTConfig):
    """A causal transformer over the codes of a VQGAN in raster order."""


class UNetConfig(Config):
    """A convolutional encoder-decoder with skip connections; the defaults are the published one.

    Attributes:
        canvas_size: (height, width) in pixels, multiples of `patch_size` and of two to the number
            of levels.
        patch_size: Holes are made of whole squares of this side; any divisor of the canvas.
        widths: Channels after each halving of the canvas.
        most_examples: As for :class:`PatchConfig`.
        spins: Likewise.
    """

    canvas_size: tuple[PositiveInt, PositiveInt] = (256, 256)
    patch_size: PositiveInt = 16
    widths: tuple[PositiveInt, ...] = Field(
        default=(64, 128, 256, 512, 512, 512, 512, 512), min_length=1, max_length=12
    )
    most_examples: PositiveInt | None = None
    spins: int = Field(default=1, ge=1, le=8)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of squares of `patch_size` on a canvas."""
        return self.canvas_size[0] // self.patch_size, self.canvas_size[1] // self.patch_size

    @property
    def deepest_stack(self) -> int:
        """See :attr:`Config.deepest_stack`."""
        return len(self.widths)

    @model_validator(mode="after")
    def _check(self) -> UNetConfig:
        _check_spins(self.spins, self.patch_size)
        step = 2 ** len(self.widths)
        if any(side % self.patch_size or side % step for side in self.canvas_size):
            raise ValueError(
                f"canvas_size: got {self.canvas_size}, expected multiples of patch_size = "
                f"{self.patch_size} and of {step}, since {len(self.widths)} levels halve it"
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
