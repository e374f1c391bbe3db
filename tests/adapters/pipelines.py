"""Pipelines of the diffusers library with random weights and no size, saved as users have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.adapters import tiny
from tests.adapters.bodies import library

SIDE = 64
"""Of what they paint, in pixels; :data:`FLUX_SIDE` of Flux."""

FLUX_SIDE = 160
"""Ten of its places: so that a grid of cells fits."""

WORDS_T5 = ["a", "dog", "red", "ball", "row", "task", "grid", "images", "same", "makes"]


def diffusers() -> Any:
    """The library; skips without it."""
    return pytest.importorskip("diffusers", reason='needs pip install "vicl[diffusers]"')


def save(kind: str, folder: Path, **changes: Any) -> Path:
    """Save a random pipeline of a kind; `changes` are of its UNet."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    if "Flux" in kind or "Cloze" in kind:
        _save_flux(kind, folder)
    else:
        _save_stable(kind, folder, changes)
    return folder


def save_controlnet(folder: Path, seed: int) -> Path:
    """Save a random ControlNet for the UNet of :func:`save`."""
    torch.manual_seed(seed)
    net = diffusers().ControlNetModel.from_unet(
        _unet({"in_channels": 4}), conditioning_embedding_out_channels=(4, 8, 8, 16)
    )
    for value in net.parameters():  # its last layers are zero, and then it changes nothing
        torch.nn.init.normal_(value, std=0.3)
    net.save_pretrained(folder)
    return folder


def _unet(changes: dict[str, Any]) -> Any:
    return diffusers().UNet2DConditionModel(
        **{
            "sample_size": SIDE // 8,
            "in_channels": 9,
            "out_channels": 4,
            "layers_per_block": 1,
            "block_out_channels": (8, 16),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "cross_attention_dim": 16,
            "attention_head_dim": 4,
            "norm_num_groups": 4,
        }
        | changes
    )


def _autoencoder(side: int, **more: Any) -> Any:
    return diffusers().AutoencoderKL(
        block_out_channels=(4, 4, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=2,
        sample_size=side,
        **more,
    )


def _save_stable(kind: str, folder: Path, changes: dict[str, Any]) -> None:
    large = "XL" in kind
    if large:
        changes = changes | {
            "cross_attention_dim": 32,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 6 * 8 + 16,
        }
    _unet(changes).save_pretrained(folder / "unet")
    _autoencoder(SIDE).save_pretrained(folder / "vae")
    for end in ("", "_2") if large else ("",):
        reader = "CLIPTextModelWithProjection" if end else "CLIPTextModel"
        _save_clip(folder, end, reader)
    scheduler = diffusers().DDIMScheduler(beta_schedule="scaled_linear")
    scheduler.save_pretrained(folder / "scheduler")
    if "TextImage" in kind:
        lib = library()
        seen = lib.CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=32,
            patch_size=16,
            projection_dim=16,
        )
        lib.CLIPVisionModelWithProjection(seen).save_pretrained(folder / "image_encoder")
        from diffusers.pipelines.stable_diffusion import CLIPImageProjection

        matrix: Any = CLIPImageProjection(hidden_size=16)
        matrix.save_pretrained(folder / "image_project")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": kind}))


def _save_clip(folder: Path, end: str, kind: str) -> None:
    lib = library()
    text = getattr(lib, kind)(lib.CLIPTextConfig(**tiny.WORDS))
    text.save_pretrained(folder / f"text_encoder{end}")
    (folder / f"tokenizer{end}").mkdir()
    tiny.write_words(folder / f"tokenizer{end}")


def _save_flux(kind: str, folder: Path) -> None:
    lib = library()
    transformer = diffusers().FluxTransformer2DModel(
        in_channels=4 * 4 * 2 + 256,  # what is known and the hole's pixels beside the noise
        out_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        guidance_embeds=True,
        axes_dims_rope=(4, 4, 8),
    )
    transformer.save_pretrained(folder / "transformer", max_shard_size="60KB")
    drawer = _autoencoder(FLUX_SIDE, shift_factor=0.1, scaling_factor=0.4)
    drawer.save_pretrained(folder / "vae")
    _save_clip(folder, "", "CLIPTextModel")
    read = lib.T5Config(
        vocab_size=len(WORDS_T5) + 4 + 100,
        d_model=16,
        d_kv=8,
        d_ff=16,
        num_layers=1,
        num_heads=2,
    )
    lib.T5EncoderModel(read).save_pretrained(folder / "text_encoder_2", max_shard_size="5KB")
    words: list[list[Any]] = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁", -2.0]]
    words += [[f"▁{word}", -3.0] for word in WORDS_T5]
    words += [[f"<extra_id_{at}>", 0.0] for at in range(99, -1, -1)]
    (folder / "tokenizer_2").mkdir()
    said = json.dumps({"model": {"type": "Unigram", "unk_id": 2, "vocab": words}})
    (folder / "tokenizer_2" / "tokenizer.json").write_text(said)
    scheduler = diffusers().FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    scheduler.save_pretrained(folder / "scheduler")
    said = json.dumps({"_class_name": kind, "resolution": SIDE})
    (folder / "model_index.json").write_text(said)
