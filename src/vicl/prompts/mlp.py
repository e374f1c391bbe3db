"""A few layers on frozen features.

Source: as compared in Jia et al. 2022, arXiv:2203.12119, published code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.classifier import Classifier
from vicl.prompts.linear import linear_layer


class MLP(Classifier):
    """Hidden layers as wide as the features, each with ReLU, normalisation and dropout, and a last.

    Args:
        backbone: Frozen.
        classes: Names, in the order of the answers.
        layers: With the last.
        generator: For first weights.
    """

    head_only = True

    def __init__(
        self, backbone: Backbone, classes: Sequence[str], *, layers: int, generator: Generator
    ) -> None:
        super().__init__(backbone, classes)
        width, parts = backbone.width, list[nn.Module]()
        for _ in range(layers - 1):
            hidden = nn.Linear(width, width)
            with torch.no_grad():
                hidden.weight.normal_(0, math.sqrt(2 / width), generator=generator)
                hidden.bias.zero_()
            parts += [hidden, nn.ReLU(), nn.BatchNorm1d(width), nn.Dropout(0.1)]
        self.hidden = nn.Sequential(*parts)
        self.head = linear_layer(width, len(classes), generator)
        self.freeze_all_but([*self.hidden.parameters(), *self.head.parameters()])

    def read(self, features: Float[Tensor, "b w"]) -> Float[Tensor, "b c"]:
        """See :meth:`Classifier.read`."""
        found: Tensor = self.head(self.hidden(features))
        return found
