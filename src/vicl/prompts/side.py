"""Side-tuning: a small network beside the frozen backbone, mixed with it.

Sources: Zhang et al. 2020, arXiv:1912.13503; as compared in Jia et al. 2022, arXiv:2203.12119,
where the small network is the convolutions of an ImageNet AlexNet (Krizhevsky 2014,
arXiv:1404.5997). No package brings its weights but torchvision, so here they are random unless a
file of them is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.files import display
from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.classifier import Classifier
from vicl.prompts.linear import silent_layer
from vicl.storage.checkpoints import TensorRef, open_checkpoint
from vicl.storage.folder import ModelError

_CONVOLUTIONS: Final = (
    (0, 3, 64, 11, 4, 2),
    (3, 64, 192, 5, 1, 2),
    (6, 192, 384, 3, 1, 1),
    (8, 384, 256, 3, 1, 1),
    (10, 256, 256, 3, 1, 1),
)
"""Place in AlexNet's list, channels in and out, kernel, stride, padding."""

_POOLED: Final = (0, 3, 10)
"""Those after which the largest of three by three is taken."""

_GRID, WIDTH = 6, 9216
_SMALLEST: Final = 63
"""Pixels a side, below which nothing is left after the last pooling."""


class SideNet(nn.Module):
    """The convolutions of an AlexNet, and a mean over a grid of 6x6: 9,216 numbers an image.

    Args:
        generator: For first weights.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.features = nn.ModuleDict()
        for place, inputs, outputs, kernel, stride, padding in _CONVOLUTIONS:
            conv = nn.Conv2d(inputs, outputs, kernel, stride, padding)
            with torch.no_grad():
                most = math.sqrt(6 / (inputs * kernel * kernel))
                conv.weight.uniform_(-most, most, generator=generator)
                conv.bias.zero_() if conv.bias is not None else None
            self.features[str(place)] = conv

    def forward(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 9216"]:
        """Of normalised pixels; small images are enlarged."""
        if pixels.shape[-1] < _SMALLEST:
            pixels = F.interpolate(pixels, (_SMALLEST, _SMALLEST), mode="bilinear")
        for place, conv in self.features.items():
            pixels = F.relu(conv(pixels))
            if int(place) in _POOLED:
                pixels = F.max_pool2d(pixels, 3, 2)
        return F.adaptive_avg_pool2d(pixels, _GRID).flatten(1)

    def read(self, path: Path) -> None:
        """Take the weights of a file.

        Raises:
            ModelError: If it lacks one, or one has another shape.
            CheckpointError: If the file is damaged.
        """
        with open_checkpoint(path) as checkpoint:
            data = checkpoint.data if isinstance(checkpoint.data, dict) else {}
            refs = {
                key: ref for key in self.state_dict() if isinstance(ref := data.get(key), TensorRef)
            }
            for key, own in self.state_dict().items():
                shape = tuple(own.shape)
                if key not in refs or refs[key].shape != shape:
                    said = refs[key].shape if key in refs else "nothing"
                    raise ModelError(
                        f"{display(path)}: {key}: got {said}, expected {shape}, as the AlexNet of "
                        "torchvision has it"
                    )
            self.load_state_dict(checkpoint.load(refs))


class SideTune(Classifier):
    """The backbone's features mixed with those of a small network that is learned.

    Args:
        backbone: Frozen.
        classes: Names, in the order of the answers.
        weights: A file of the small network's; None: random.
        generator: For first weights.

    Raises:
        ModelError: If the file is not one of such weights.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        *,
        weights: Path | None = None,
        generator: Generator,
    ) -> None:
        super().__init__(backbone, classes)
        self.net = SideNet(generator)
        if weights is not None:
            self.net.read(weights)
        self.project = nn.Linear(WIDTH, backbone.width, bias=False)
        with torch.no_grad():
            most = WIDTH**-0.5
            self.project.weight.uniform_(-most, most, generator=generator)
        self.mix = nn.Parameter(torch.zeros(1))
        self.head = silent_layer(backbone.width, len(classes))
        learned = [self.mix, *self.net.parameters(), *self.project.parameters()]
        self.freeze_all_but([*learned, *self.head.parameters()])

    def forward(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c"]:
        """See :meth:`Classifier.forward`."""
        pixels = self.backbone.normalise(image)
        share = self.mix.sigmoid()
        beside = self.project(self.net(pixels))
        found: Tensor = self.head(share * self.backbone.features(pixels) + (1 - share) * beside)
        return found
