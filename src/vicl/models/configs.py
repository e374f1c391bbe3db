"""What models are made of and how they are asked, as plain numbers, checked: `config.json`.

Here is what several kinds of model share; the configuration of a kind stands beside its model.  A
model built from a configuration alone has random weights.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

Drawing = Literal["likeliest", "expected"]
Size = Annotated[int, Field(gt=0, le=1 << 16)]
"""Of a side, a width or a count: above these limits building a model, and a stranger may have made
its configuration, takes hours or all memory."""
Depth = Annotated[int, Field(gt=0, le=256)]
_TABLE_LIMIT = 1 << 28
"""Of numbers in a table of positions."""


class Checked(BaseModel):
    """Plain values, checked and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Asking(Checked):
    """How an inpainter is asked, which changes neither its architecture nor its weights.

    Attributes:
        drawing: What the VQGAN draws. "likeliest", as published: at every place of the canvas the
            likeliest code.  "expected": in the hole the mean of the codes' vectors by their
            probabilities, which is blurred where the model is in doubt, and elsewhere the codes of
            what is there; answers that are drawn at random have codes in the hole too.
        drawing_temperature: Of "expected", above 0: logits are divided by it before they become
            probabilities; below 1 the mean is nearer to the likeliest code. "likeliest" takes none
            but 1.
        most_examples: How many examples a canvas may show, where it was trained on so few; more
            are answered in groups. None: as many as fit.
        spins: Steps along each axis by which a prompt is asked again, moved by parts of a patch
            (see :mod:`vicl.canvas.moves`): 1 to 8, and at most the model's `patch_size`.
    """

    drawing: Drawing = "likeliest"
    drawing_temperature: PositiveFloat = 1.0
    most_examples: PositiveInt | None = None
    spins: int = Field(default=1, ge=1, le=8)

    @model_validator(mode="after")
    def _check_drawing(self) -> Asking:
        if self.drawing == "likeliest" and self.drawing_temperature != 1:
            raise ValueError(
                f"drawing_temperature: got {self.drawing_temperature:g} with drawing 'likeliest', "
                "which has none; leave it out, or say drawing: expected"
            )
        return self


class Config(Checked):
    """What every configuration says of the size of its model, beside its weights."""

    causal: ClassVar[bool] = False
    """Whether a place is predicted from those before it, so that training may hide everything."""

    @property
    def width(self) -> int:
        """Channels of the layers in which most of the work is done."""
        raise NotImplementedError


class CanvasConfig(Config):
    """A model that fills holes in a canvas.

    Attributes:
        canvas_size: (height, width) in pixels, a multiple of `patch_size`.
        patch_size: Side of a patch in pixels, of which holes are made; where there is a tokenizer,
            also what one of its codes stands for.
    """

    drawings: ClassVar[tuple[Drawing, ...]] = ("likeliest",)
    """What :attr:`Asking.drawing` may be."""

    canvas_size: tuple[Size, Size] = (224, 224)
    patch_size: Size = 16

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches on a canvas."""
        return self.canvas_size[0] // self.patch_size, self.canvas_size[1] // self.patch_size

    @model_validator(mode="after")
    def _check_canvas(self) -> CanvasConfig:
        if any(side % self.patch_size for side in self.canvas_size):
            raise ValueError(
                f"canvas_size: got {self.canvas_size}, expected multiples of patch_size = "
                f"{self.patch_size}"
            )
        return self

    def check(self, asking: Asking) -> None:
        """Refuse a way of asking that the model has not.

        Raises:
            ValueError: If there is none such; it names the key.
        """
        if asking.spins > self.patch_size:
            raise ValueError(
                f"asking.spins: got {asking.spins}, expected at most patch_size = {self.patch_size}"
            )
        if asking.drawing not in self.drawings:
            raise ValueError(
                f"asking.drawing: got {asking.drawing!r}, which is for a MAE-VQGAN only; leave it "
                "out"
            )


class PatchConfig(CanvasConfig):
    """A transformer over the patches of a canvas: what all of them have.

    Attributes:
        embed_dim: Width of the (first) transformer; a multiple of 4 and of `num_heads`.
        depth: Its blocks.
        num_heads: Its attention heads.
        mlp_ratio: Width of the hidden layer of an MLP as a multiple of the block's width.
    """

    embed_dim: Size = 1024
    depth: Depth = 24
    num_heads: Size = 16
    mlp_ratio: PositiveFloat = 4.0

    @property
    def width(self) -> int:
        """See :attr:`Config.width`."""
        return self.embed_dim

    @model_validator(mode="after")
    def _check_heads(self) -> PatchConfig:
        _check_width("embed_dim", self.embed_dim, self.num_heads, self.grid)
        return self


def _check_width(name: str, width: int, heads: int, grid: tuple[int, int]) -> None:
    if width % 4 or width % heads:
        raise ValueError(f"{name}: got {width}, expected a multiple of 4 and of its {heads} heads")
    if grid[0] * grid[1] * width > _TABLE_LIMIT:
        raise ValueError(
            f"{name}: got {width} with {grid} patches, which is too large a model: expected at "
            f"most {_TABLE_LIMIT} positions times channels"
        )


def _check_cells(cells: int, grid: tuple[int, int], *widths: int) -> None:
    if any(side % cells for side in grid) or any(width % 8 for width in widths):
        raise ValueError(
            f"position_cells: got {cells} with {grid} patches and widths of {widths}, expected a "
            "divisor of both sides and widths that are multiples of 8"
        )


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

    decoder_embed_dim: Size = 512
    decoder_depth: Depth = 8
    decoder_num_heads: Size = 16
    position_cells: Size = 1

    @model_validator(mode="after")
    def _check_decoder(self) -> MaskedAutoencoderConfig:
        _check_width("decoder_embed_dim", self.decoder_embed_dim, self.decoder_num_heads, self.grid)
        if self.position_cells > 1:
            _check_cells(self.position_cells, self.grid, self.embed_dim, self.decoder_embed_dim)
        return self


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

    base_width: Size = 128
    multipliers: tuple[Size, ...] = Field(default=(1, 1, 2, 2, 4), min_length=1, max_length=8)
    blocks: Depth = 2
    attention_levels: tuple[int, ...] = (4,)
    latent_dim: Size = 256
    codebook_size: Size = 1024
    codebook_dim: Size = 256
    norm_groups: Size = 32

    @property
    def patch_size(self) -> int:
        """Side of the square of pixels that a code stands for."""
        return int(2 ** (len(self.multipliers) - 1))

    @property
    def width(self) -> int:
        """See :attr:`Config.width`."""
        return self.base_width

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


class CodeConfig(PatchConfig):
    """A transformer over the codes of a VQGAN.

    Attributes:
        tokenizer: The VQGAN.
    """

    tokenizer: VQGANConfig = VQGANConfig()

    @model_validator(mode="after")
    def _check_tokenizer(self) -> CodeConfig:
        if self.patch_size != self.tokenizer.patch_size:
            raise ValueError(
                f"patch_size: got {self.patch_size}, expected {self.tokenizer.patch_size}, which "
                "is what a code of the tokenizer stands for (two to the number of its levels - 1)"
            )
        return self
