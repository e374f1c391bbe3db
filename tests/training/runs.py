"""A run small enough for a test: MAE or another model on a few pictures of 32 px."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from tests.pictures import picture

from vicl.images import save_image, to_pil
from vicl.models.configs import VQGANConfig
from vicl.models.vqgan import VQGAN
from vicl.training.recipe.files import check_recipe
from vicl.training.recipe.recipe import Recipe

TOKENIZER = VQGANConfig(
    base_width=4,
    multipliers=(1, 2, 2),
    blocks=1,
    attention_levels=(),
    latent_dim=8,
    codebook_size=16,
    codebook_dim=8,
    norm_groups=2,
)
"""Patches of 4 px, 16 codes."""

TRANSFORMER = {"canvas_size": [32, 32], "patch_size": 4, "embed_dim": 16, "depth": 1}
DECODER = {"decoder_embed_dim": 16, "decoder_depth": 1, "decoder_num_heads": 2}
MODELS: dict[str, dict[str, Any]] = {
    "mae": {"kind": "mae", **TRANSFORMER, "num_heads": 2, **DECODER},
    "mae-vqgan": {"kind": "mae-vqgan", **TRANSFORMER, "num_heads": 2, **DECODER},
    "beit": {"kind": "beit", **TRANSFORMER, "num_heads": 2},
    "autoregressive": {"kind": "autoregressive", **TRANSFORMER, "num_heads": 2},
    "unet": {"kind": "unet", "canvas_size": [32, 32], "patch_size": 4, "widths": [4, 8, 8]},
    "vqgan": {"kind": "vqgan", "crop_size": 32, **TOKENIZER.model_dump()},
}


def pictures(folder: Path, count: int = 12) -> Path:
    """A folder of pictures."""
    for index in range(count):
        save_image(to_pil(picture(40, 36, seed=index)), folder / f"{index:02}.png")
    return folder


def tokenizer(folder: Path) -> Path:
    """The folder of an untrained VQGAN."""
    VQGAN(TOKENIZER, seed=3).save_pretrained(folder)
    return folder


def plain(work: Path, kind: str = "mae", **changes: Any) -> dict[str, Any]:
    """A recipe as plain data; `changes` replace whole sections."""
    if not (work / "pictures").exists():
        pictures(work / "pictures")
    model = dict(MODELS[kind])
    if kind in ("mae-vqgan", "beit", "autoregressive"):
        if not (work / "tokenizer").exists():
            tokenizer(work / "tokenizer")
        model["tokenizer"] = str(work / "tokenizer")
    data: dict[str, Any] = {
        "name": "tiny",
        "data": {
            "train": [{"kind": "folder", "path": str(work / "pictures")}],
            "held_out": {"fraction": 0.25},
            "workers": 0,
        },
        "model": model,
        "batch": {"size": 4},
        "optimiser": {"lr": 1e-2, "scale_lr": False},
        "schedule": {"steps": 4, "warmup": 0.25},
        "precision": "fp32",
        "target_precision": "fp32",
        "evaluation": {"every": 2, "rows": 2},
        "checkpoints": {"every": 2, "keep": 1},
        "log": {"every": 1, "trackers": []},
    }
    if kind == "vqgan":
        data["vqgan"] = {
            "discriminator": {"start": 2, "base_width": 4, "layers": 2},
            "revive_after": 2,
        }
    else:
        masking = {"kind": "all"} if kind == "autoregressive" else {"kind": "patches"}
        data["masking"] = [masking]
    return data | changes


def recipe(work: Path, kind: str = "mae", **changes: Any) -> Recipe:
    """The same, checked."""
    return check_recipe(plain(work, kind, **changes), "test")


def write(data: dict[str, Any], path: Path) -> Path:
    """Write a recipe file."""
    path.write_text(yaml.safe_dump(data))
    return path
