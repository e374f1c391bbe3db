"""Models of the transformers library with random weights and no size, saved as their users do."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tests.adapters.bodies import library, saved, shaken

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


def _saved(make: Callable[[], Any], folder: Path) -> Any:
    return saved(make(), folder)


WORDS: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 16,
    "vocab_size": 60,
    "max_position_embeddings": 12,
    "bos_token_id": 0,
    "eos_token_id": 1,
}


def write_words(folder: Path) -> None:
    """A vocabulary of CLIP's with nothing but letters."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{one}</w>" for one in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")


def _sam3() -> Any:
    lib = library()
    part = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "num_layers": 1}
    config = lib.Sam3Config(
        vision_config=_sam3_vision(),
        text_config=WORDS,
        geometry_encoder_config=part,
        detr_encoder_config=part,
        detr_decoder_config=part | {"num_queries": 5},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )
    return lib.Sam3Model(config)


def _save_sam3(folder: Path) -> None:
    """SAM 3 as Meta gives it: two models with one body in one file."""
    concepts, tracker = shaken(_sam3()), shaken(_sam3_tracker())
    weights = {f"detector_model.{key}": value for key, value in concepts.state_dict().items()}
    for key, value in tracker.state_dict().items():
        if key.startswith("vision_encoder.neck."):
            weights[f"tracker_neck.{key.removeprefix('vision_encoder.neck.')}"] = value
        elif not key.startswith("vision_encoder."):
            weights[f"tracker_model.{key}"] = value
    folder.mkdir()
    save_file({key: value.clone() for key, value in weights.items()}, folder / "model.safetensors")
    said = {
        "model_type": "sam3_video",
        "detector_config": concepts.config.to_dict(),
        "tracker_config": tracker.config.to_dict(),
    }
    (folder / "config.json").write_text(json.dumps(said, default=str))
    write_words(folder)


def _save_clipseg(folder: Path) -> None:
    lib = library()
    config = lib.CLIPSegConfig(
        text_config=WORDS,
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 32,
        },
        projection_dim=16,
        extract_layers=[0, 1, 2],
        reduce_dim=8,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
        conditional_layer=0,
    )
    saved(lib.CLIPSegForImageSegmentation(config), folder)
    write_words(folder)


def _save_grounding_dino(folder: Path) -> None:
    lib = library()
    config = lib.GroundingDinoConfig(
        backbone_config={
            "model_type": "swin",
            "embed_dim": 8,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 2, 4, 8],
            "window_size": 7,
            "image_size": 224,
            "out_features": ["stage2", "stage3", "stage4"],
            "out_indices": [2, 3, 4],
        },
        text_config={
            "model_type": "bert",
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "vocab_size": 1013,
        },
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=10,
        disable_custom_kernels=True,
    )
    saved(lib.GroundingDinoForObjectDetection(config), folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "a", "cat"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")


SEGMENTERS: dict[str, Callable[[Path], Any]] = {
    **{kind: functools.partial(_saved, make) for kind, make in SAMS.items()},
    "sam3_video": _save_sam3,
    "clipseg": _save_clipseg,
    "grounding-dino": _save_grounding_dino,
}
"""By model_type: saves a random one."""


def _seggpt() -> Any:
    lib = library()
    config = lib.SegGptConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=[64, 32],
        patch_size=8,
        mlp_dim=32,
        pretrain_image_size=16,
        decoder_hidden_size=8,
        merge_index=0,
        intermediate_hidden_state_indices=[0, 1, 2, 3],
    )
    return lib.SegGptForImageSegmentation(config)


def _owlv2() -> Any:
    lib = library()
    vision = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 8,
    }
    config = lib.Owlv2Config(text_config=WORDS, vision_config=vision, projection_dim=16)
    return lib.Owlv2ForObjectDetection(config)


ENGINES: dict[str, Callable[[Path], Any]] = {
    "seggpt": functools.partial(_saved, _seggpt),
    "owlv2": functools.partial(_saved, _owlv2),
    "sam3_video": _save_sam3,
}
"""By model_type: saves a random one."""


def save(kind: str, folder: Path) -> None:
    """Save a random segmenter, detector or engine of a kind."""
    torch.manual_seed(0)
    (SEGMENTERS | ENGINES)[kind](folder)
