"""Tiny random networks in the hub's folder format, one of each kind."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tests.adapters.bodies import FEED, SMALL, library, saved

from vicl.models.mae import MAE, MAEConfig

SIDE = 32
"""Of the images of all but the widest."""

TINY = SMALL | {"num_hidden_layers": 3}
STAGES: dict[str, Any] = {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 2, 1]}
SWIN: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 8,
    "depths": [2, 2, 1],
    "num_heads": [1, 2, 2],
    "window_size": 4,
}
LABELS = 12


def _make(name: str, fields: dict[str, Any], **more: Any) -> Callable[[Path], Any]:
    def save(folder: Path) -> Any:
        lib = library()
        head = next(s for s in ("ForImageClassification", "ForPreTraining", "Model") if s in name)
        config = getattr(lib, f"{name.removesuffix(head)}Config")(**fields, **more)
        return saved(getattr(lib, name)(config), folder)

    return save


def _clip(kind: str) -> Callable[[Path], Any]:
    def save(folder: Path) -> Any:
        lib = library()
        words = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
        words |= {"num_attention_heads": 2, "vocab_size": 60, "max_position_embeddings": 12}
        words |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
        config = getattr(lib, f"{kind}Config")(text_config=words, vision_config=TINY | FEED)
        return saved(getattr(lib, f"{kind}Model")(config), folder)

    return save


def _own(folder: Path) -> Any:
    size = {"embed_dim": 16, "depth": 2, "num_heads": 2, "decoder_embed_dim": 8}
    size |= {"decoder_depth": 1, "decoder_num_heads": 2, "patch_size": 8}
    net = MAE(MAEConfig(canvas_size=(SIDE, SIDE), **size))
    net.save_pretrained(folder)
    return net


_DECODER = {
    "decoder_hidden_size": 16,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 16,
}
_REGISTERS = {"mlp_ratio": 2, "num_register_tokens": 3}
FOLDERS: dict[str, Callable[[Path], Any]] = {
    "vit": _make("ViTModel", TINY | FEED),
    "vit-classifies": _make("ViTForImageClassification", TINY | FEED, num_labels=LABELS),
    "vit-mae": _make("ViTMAEForPreTraining", TINY | FEED | _DECODER),
    "dinov2": _make("Dinov2Model", TINY | {"mlp_ratio": 2}),
    "dinov2-classifies": _make(
        "Dinov2ForImageClassification", TINY | {"mlp_ratio": 2}, num_labels=LABELS
    ),
    "dinov2-registers": _make("Dinov2WithRegistersModel", TINY | _REGISTERS),
    "dinov2-registers-classifies": _make(
        "Dinov2WithRegistersForImageClassification", TINY | _REGISTERS, num_labels=LABELS
    ),
    "dinov3": _make("DINOv3ViTModel", TINY | FEED | {"num_register_tokens": 2}),
    "dinov3-convnext": _make("DINOv3ConvNextModel", STAGES),
    "swin": _make("SwinModel", SWIN),
    "swin-classifies": _make("SwinForImageClassification", SWIN, num_labels=LABELS),
    "resnet": _make("ResNetModel", STAGES | {"embedding_size": 8, "layer_type": "basic"}),
    "resnet-classifies": _make(
        "ResNetForImageClassification",
        STAGES | {"embedding_size": 8, "layer_type": "bottleneck"},
        num_labels=LABELS,
    ),
    "convnext": _make("ConvNextModel", STAGES),
    "convnext-classifies": _make("ConvNextForImageClassification", STAGES, num_labels=LABELS),
    "clip-vision": _make("CLIPVisionModel", TINY | FEED),
    "clip": _clip("CLIP"),
    "siglip-vision": _make("SiglipVisionModel", TINY | FEED),
    "siglip": _clip("Siglip"),
    "own": _own,
}
"""By a name of our own: saves a random one, and gives it."""


def write(kind: str, folder: Path, *, side: int = SIDE, **said: Any) -> Any:
    """Save a random network, and say that its images have so many pixels a side."""
    torch.manual_seed(0)
    net = FOLDERS[kind](folder)
    if kind != "own":
        says = {"size": {"height": side, "width": side}, "resample": 2} | said
        (folder / "preprocessor_config.json").write_text(json.dumps(says))
    return net


@functools.cache
def kept(kind: str, root: Path) -> Path:
    """The folder of a kind, made once under a root."""
    folder = root / kind
    write(kind, folder)
    return folder
