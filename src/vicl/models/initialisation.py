"""Random weights: drawn by a seed, without touching what others draw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from vicl.models.vit import PatchEmbed


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw weights by a seed; afterwards the global generator is as it was."""
    with torch.random.fork_rng(devices=[]):
        # Not `torch.manual_seed`, which would seed the generators of all devices too.
        torch.default_generator.manual_seed(seed)
        yield


def initialise_transformer(model: nn.Module) -> None:
    """Draw a transformer's weights as MAE does (He et al. 2021, appendix A.1)."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, PatchEmbed):
            nn.init.xavier_uniform_(module.proj.weight.flatten(1))
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
    for name, parameter in model.named_parameters():
        if name.endswith("_token"):
            nn.init.normal_(parameter, std=0.02)
