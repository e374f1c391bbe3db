"""Random weights: drawn by a seed, without touching what others draw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


def initialise_convolutions(model: nn.Module, *, quiet: Iterable[nn.Conv2d]) -> None:
    """Draw the weights of a residual convolutional network so that signals neither fade nor grow.

    PyTorch's own weights shrink a signal in every layer, and through the dozen layers of a VQGAN
    colours are lost beside light and dark: they are learnt thousands of steps later.

    Args:
        model: With convolutions and norms.
        quiet: The last convolution of each residual branch; 0, so that at first only the shortcuts
            speak.

    Source: He et al. 2015, arXiv:1502.01852, section 2.2, with a gain of 1; Zhang et al. 2019,
    arXiv:1901.09321, section 3, for the zeros.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for convolution in quiet:
        nn.init.zeros_(convolution.weight)


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
