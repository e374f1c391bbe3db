"""Weights that follow from their published names, as `goldens/README.md` states the formula."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from vicl.models.mae_vqgan import MAEVQGAN, MAEVQGANConfig
from vicl.published.keys import published_key


def weight(key: str, shape: tuple[int, ...]) -> Tensor:
    """The weight of a published name."""
    seed = zlib.crc32(f"public-{key}".encode())
    x = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape, dtype=np.float32)
    if "norm" in key and key.endswith("weight"):
        x = 1 + 0.1 * x
    elif key.endswith("bias"):
        x = 0.02 * x
    elif key.endswith("embedding.weight"):
        pass
    elif len(shape) >= 2:
        x = x * ((2 if "qkv" in key else 1) / np.sqrt(np.prod(shape[1:])))
    else:
        x = 0.02 * x
    return torch.from_numpy(x.astype(np.float32))


def build(config: MAEVQGANConfig) -> MAEVQGAN:
    """A model with the formula's weights."""
    with torch.device("meta"):
        model = MAEVQGAN(config)
    state = {k: weight(published_key(k), tuple(v.shape)) for k, v in model.state_dict().items()}
    model.load_state_dict(state, assign=True)
    return model.eval()
