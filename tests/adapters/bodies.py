"""Bodies of the transformers library with random weights, saved as their users save them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 5,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
FEED: dict[str, Any] = {"intermediate_size": 64}

KINDS = {
    "Dinov2": SMALL | {"mlp_ratio": 2},
    "Dinov2WithRegisters": SMALL | {"mlp_ratio": 2, "num_register_tokens": 3},
    "DINOv3ViT": SMALL | FEED | {"num_register_tokens": 2},
    "DINOv3ConvNext": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]},
    "CLIPVision": SMALL | FEED,
    "SiglipVision": SMALL | FEED,
}


def library() -> Any:
    """The library; skips without it."""
    return pytest.importorskip("transformers", reason='needs pip install "vicl[transformers]"')


def make(kind: str, folder: Path, **changes: Any) -> Any:
    """Save a random model of a kind."""
    config = getattr(library(), f"{kind}Config")(**(KINDS[kind] | changes))
    return saved(getattr(library(), f"{kind}Model")(config), folder)


def saved(model: Any, folder: Path) -> Any:
    """Save a model, shaken."""
    shaken(model).save_pretrained(folder)
    return model


def shaken(model: Any) -> Any:
    """A model whose weights are such that every layer is seen."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn(value.shape, generator=generator) * 0.1)
    return model.eval()
