"""Models of the transformers library with random weights and no size, saved as their users do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.adapters.bodies import library, saved

DECODER: dict[str, Any] = {
    "hidden_size": 32,
    "mlp_dim": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": 32,
}


def _sam(kind: str) -> Any:
    lib = library()
    body: dict[str, Any] = {
        "hidden_size": 32,
        "output_channels": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 8,
        "global_attn_indexes": [1],
        "num_pos_feats": 16,
        "window_size": 4,
        "mlp_dim": 32,
    }
    asked = {"hidden_size": 32, "image_size": 64, "patch_size": 8, "mask_input_channels": 8}
    more = {"vit_dim": 32} if kind == "SamHQ" else {}
    config = getattr(lib, f"{kind}Config")(
        vision_config=body, prompt_encoder_config=asked, mask_decoder_config=DECODER | more
    )
    return getattr(lib, f"{kind}Model")(config)


def _sam2() -> Any:
    lib = library()
    body = lib.Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=1,
        image_size=[64, 64],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        global_attention_blocks=[3],
    )
    vision = lib.Sam2VisionConfig(
        backbone_config=body.to_dict(),
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=32,
    )
    asked = {"hidden_size": 32, "image_size": 64, "mask_input_channels": 8}
    config = lib.Sam2Config(
        vision_config=vision.to_dict(), prompt_encoder_config=asked, mask_decoder_config=DECODER
    )
    return lib.Sam2Model(config)


def _sam3_vision() -> dict[str, Any]:
    lib = library()
    body = lib.Sam3ViTConfig(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=56,
        pretrain_image_size=56,
        patch_size=14,
        window_size=2,
        global_attn_indexes=[1],
    )
    vision = lib.Sam3VisionConfig(
        backbone_config=body.to_dict(),
        fpn_hidden_size=32,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    )
    return dict(vision.to_dict())


def _sam3_tracker() -> Any:
    lib = library()
    config = lib.Sam3TrackerConfig(
        vision_config=_sam3_vision(),
        prompt_encoder_config={"hidden_size": 32, "image_size": 56, "mask_input_channels": 8},
        mask_decoder_config=DECODER,
    )
    return lib.Sam3TrackerModel(config)


SAMS: dict[str, Callable[[], Any]] = {
    "sam": lambda: _sam("Sam"),
    "sam_hq": lambda: _sam("SamHQ"),
    "sam2": _sam2,
    "sam3_tracker": _sam3_tracker,
}
"""By model_type."""

SEGMENTERS: dict[str, Callable[[], Any]] = {**SAMS}


def save(kind: str, folder: Path) -> Any:
    """Save a random model of a kind; gives it as the library has it."""
    import torch

    torch.manual_seed(0)
    return saved(SEGMENTERS[kind](), folder)
