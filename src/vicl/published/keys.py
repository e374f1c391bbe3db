"""What the parameters of MAE-VQGAN are called in the published files, and what their shapes say.

The published state dict has the transformer at its root and the VQGAN under `vae.`; in a VQGAN
file of its own (`last.ckpt`) the same names stand without that prefix.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from pydantic import ValidationError

from vicl.files.faults import said
from vicl.models.configs import VQGANConfig
from vicl.models.mae_vqgan import MAEVQGANConfig

TOKENIZER = "vae."
POSITIONS = {"pos_embed": "positions", "decoder_pos_embed": "decoder_positions"}
"""Fixed buffers: published name to ours. They are compared with the formula, not loaded."""

EXTRAS = re.compile(r"(?:vae\.)?loss\.")
"""Entries of a state dict that only the VQGAN's training needs."""

HEADS = {384: 12, 512: 16, 768: 12, 1024: 16, 1280: 16}
"""Attention heads by width, of the published encoders and of the decoder (512)."""

Shapes = Mapping[str, tuple[int, ...]]

_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^encoder\.blocks\.", "blocks."),
        (r"^encoder\.norm\.", "norm."),
        (r"^decoder\.blocks\.", "decoder_blocks."),
        (r"^decoder\.norm\.", "decoder_norm."),
        (r"^head\.", "decoder_pred."),
        (r"^tokenizer\.codebook$", "vae.quantize.embedding.weight"),
        (r"^tokenizer\.to_code\.", "vae.quant_conv."),
        (r"^tokenizer\.from_code\.", "vae.post_quant_conv."),
        (
            r"^tokenizer\.encoder\.levels\.(\d+)\.resample\.",
            r"vae.encoder.down.\1.downsample.conv.",
        ),
        (r"^tokenizer\.decoder\.levels\.(\d+)\.resample\.", r"vae.decoder.up.\1.upsample.conv."),
        (r"^tokenizer\.encoder\.levels\.", "vae.encoder.down."),
        (r"^tokenizer\.decoder\.levels\.", "vae.decoder.up."),
        (r"^tokenizer\.", "vae."),
        (r"^(vae\..*)\.blocks\.(\d+)\.", r"\1.block.\2."),
        (r"^(vae\..*)\.attentions\.(\d+)\.", r"\1.attn.\2."),
        (r"^(vae\..*)\.middle\.attention\.", r"\1.mid.attn_1."),
        (r"^(vae\..*)\.middle\.", r"\1.mid."),
        (r"^(vae\..*)\.shortcut\.", r"\1.nin_shortcut."),
        (r"^(vae\..*)\.proj\.", r"\1.proj_out."),
    )
)


def published_key(name: str) -> str:
    """The published name of a parameter of :class:`vicl.models.mae_vqgan.MAEVQGAN`."""
    for pattern, replacement in _RULES:
        name = pattern.sub(replacement, name)
    return name


class ShapeError(ValueError):
    """Shapes from which no architecture can be read."""


def infer_config(
    shapes: Shapes, *, heads: tuple[int, int] | None = None, input_size: int | None = None
) -> MAEVQGANConfig:
    """Read the architecture from the shapes of a published state dict.

    Args:
        shapes: By published name, the VQGAN's under `vae.`.
        heads: Attention heads of the encoder and the decoder, which no shape shows; None takes
            those of the published model of the same width.
        input_size: Side of the canvas in pixels, where the file has no position embeddings.

    Raises:
        ShapeError: If an entry that decides the architecture is missing or has an odd shape, or
            the numbers do not fit together.
    """
    width, _, patch, _ = _shape(shapes, "patch_embed.proj.weight", 4)
    narrow, _ = _shape(shapes, "decoder_embed.weight", 2)
    hidden, _ = _shape(shapes, "blocks.0.mlp.fc1.weight", 2)
    side = input_size or 224
    if "pos_embed" in shapes:
        tokens = _shape(shapes, "pos_embed", 3)[1] - 1
        side = math.isqrt(max(tokens, 0)) * patch
        if (side // max(patch, 1)) ** 2 != tokens:
            raise ShapeError(f"pos_embed: got {tokens} places, expected a square number")
    if not 0 < width <= 1 << 14 or not 0 < side <= 4096:
        raise ShapeError(f"got a width of {width} and a canvas of {side} px, which is no model")
    if heads is None:
        missing = [w for w in (width, narrow) if w not in HEADS]
        if missing:
            raise ShapeError(
                f"got a width of {missing[0]}, which no published model has, and shapes do not "
                "show how many attention heads there are; give heads=(encoder, decoder) "
                "(command line: --heads ENCODER DECODER)"
            )
        heads = HEADS[width], HEADS[narrow]
    fields: dict[str, object] = {
        "canvas_size": (side, side),
        "patch_size": patch,
        "embed_dim": width,
        "depth": _count(shapes, "blocks", 256),
        "num_heads": heads[0],
        "decoder_embed_dim": narrow,
        "decoder_depth": _count(shapes, "decoder_blocks", 256),
        "decoder_num_heads": heads[1],
        "mlp_ratio": hidden / width,
        "tokenizer": infer_tokenizer(shapes),
    }
    try:
        return MAEVQGANConfig.model_validate(fields)
    except ValidationError as error:
        raise ShapeError(said(error)) from error


def infer_tokenizer(shapes: Shapes) -> VQGANConfig:
    """Read the VQGAN's architecture from the shapes of its entries, under `vae.`.

    Raises:
        ShapeError: As :func:`infer_config`.
    """
    base = _shape(shapes, "vae.encoder.conv_in.weight", 4)[0]
    levels = _count(shapes, "vae.encoder.down", 8)
    blocks = _count(shapes, "vae.encoder.down.0.block", 16)
    widths = [
        _shape(shapes, f"vae.encoder.down.{level}.block.0.conv2.weight", 4)[0]
        for level in range(levels)
    ]
    if base < 1 or any(width % base for width in widths):
        raise ShapeError(f"the VQGAN's levels have {widths} channels, expected multiples of {base}")
    codes, length = _shape(shapes, "vae.quantize.embedding.weight", 2)
    fields: dict[str, object] = {
        "base_width": base,
        "multipliers": tuple(width // base for width in widths),
        "blocks": blocks,
        "attention_levels": tuple(
            level
            for level in range(levels)
            if f"vae.encoder.down.{level}.attn.0.q.weight" in shapes
        ),
        "latent_dim": _shape(shapes, "vae.encoder.conv_out.weight", 4)[0],
        "codebook_size": codes,
        "codebook_dim": length,
    }
    try:
        return VQGANConfig.model_validate(fields)
    except ValidationError as error:
        raise ShapeError(said(error)) from error


def _shape(shapes: Shapes, name: str, dims: int) -> tuple[int, ...]:
    if name not in shapes:
        raise ShapeError(f"{name} is missing")
    if len(shapes[name]) != dims:
        raise ShapeError(f"{name}: got the shape {shapes[name]}, expected {dims} dimensions")
    return shapes[name]


def _count(shapes: Shapes, prefix: str, limit: int) -> int:
    """How many numbered parts there are: one more than the largest number."""
    pattern = re.compile(re.escape(prefix) + r"\.(\d{1,6})\.", re.ASCII)
    found = [int(m[1]) + 1 for m in map(pattern.match, shapes) if m]
    if not 1 <= max(found, default=0) <= limit:
        got = max(found, default=0)
        raise ShapeError(f"{prefix}.N: got {got} parts, expected 1 to {limit}")
    return max(found)
