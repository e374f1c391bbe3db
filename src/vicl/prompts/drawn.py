"""Layers whose first weights come from a generator, as PyTorch draws them from its own."""

from __future__ import annotations

import math

import torch
from torch import Generator, nn


def drawn_linear(inputs: int, outputs: int, generator: Generator) -> nn.Linear:
    """A linear layer with PyTorch's first weights: uniform within 1 / sqrt(inputs)."""
    layer = nn.Linear(inputs, outputs)
    bound = 1 / math.sqrt(inputs)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def drawn_attention(width: int, heads: int, generator: Generator) -> nn.MultiheadAttention:
    """Attention with PyTorch's first weights: Xavier's, biases 0."""
    layer = nn.MultiheadAttention(width, heads)
    bound = math.sqrt(6 / (4 * width))
    with torch.no_grad():
        layer.in_proj_weight.uniform_(-bound, bound, generator=generator)
        bound = 1 / math.sqrt(width)
        layer.out_proj.weight.uniform_(-bound, bound, generator=generator)
    return layer
