"""A linear layer on the backbone's features: the probe that prompts are compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.classifier import Classifier


def linear_layer(width: int, classes: int, generator: Generator) -> nn.Linear:
    """A last layer as VPT's: weights Kaiming normal by its outputs, biases -log 99.

    Source: Jia et al. 2022, arXiv:2203.12119, published code.
    """
    layer = nn.Linear(width, classes)
    with torch.no_grad():
        layer.weight.normal_(0, math.sqrt(2 / classes), generator=generator)
        layer.bias.fill_(-math.log(99))
    return layer


def silent_layer(width: int, classes: int) -> nn.Linear:
    """A last layer of zeros, for what changes the features below it.

    Its first gradient moves itself alone. That of :func:`linear_layer`, as VPT's code has it there
    too, is so large for few classes, or for long features, that it spoils what is below before it
    has learned anything.
    """
    layer = nn.Linear(width, classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def last_layer(width: int, classes: int, generator: Generator, *, published: bool) -> nn.Linear:
    """:func:`linear_layer` where it is to be as published, else :func:`silent_layer`."""
    return linear_layer(width, classes, generator) if published else silent_layer(width, classes)


class Linear(Classifier):
    """A linear layer on frozen features.

    Args:
        backbone: Frozen.
        classes: Names, in the order of the answers.
        generator: For its first weights.
    """

    head_only = True

    def __init__(self, backbone: Backbone, classes: Sequence[str], *, generator: Generator) -> None:
        super().__init__(backbone, classes)
        self.head = linear_layer(backbone.width, len(classes), generator)
        self.freeze_all_but(self.head.parameters())

    def read(self, features: Float[Tensor, "b w"]) -> Float[Tensor, "b c"]:
        """See :meth:`Classifier.read`."""
        found: Tensor = self.head(features)
        return found
