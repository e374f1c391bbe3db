"""A backbone that sees little, but with labels of its own: quick, and easy to predict."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vicl.prompts.backbones.backbone import Backbone, Reading


class Stripes(Backbone):
    """A convolution, a mean over places and a classifier, all random.

    Args:
        side: Of its images.
        labels: Of its classifier; 0: none.
    """

    def __init__(self, side: int = 16, labels: int = 12) -> None:
        super().__init__()
        state = torch.random.get_rng_state()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.layers = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1) for _ in range(2)])
        self.head = nn.Linear(8, labels) if labels else None
        torch.random.set_rng_state(state)
        self.source, self.weights_hash = "stripes", None
        self.reading = Reading(None, side)
        self.width, self.labels = 8, labels
        self.colours((0.5, 0.4, 0.3), (0.25, 0.5, 0.2))
        self.requires_grad_(False).eval()

    def features(self, pixels: Tensor) -> Tensor:
        values: Tensor = self.first(pixels)
        for layer in self.layers:
            values = values + layer(values.tanh())
        return values.mean(dim=(2, 3))

    def classifier(self) -> nn.Module | None:
        return self.head

    def blocks(self) -> list[nn.Module]:
        return list(self.layers)

    def tail(self) -> list[nn.Module]:
        return []
