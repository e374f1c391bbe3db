"""The encoders that have a name; importing this imports neither PyTorch nor an encoder."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vicl.encoders.packaged import PACKAGED, PackagedWeights

if TYPE_CHECKING:
    import torch

    from vicl.encoders.efficientnet_lite import Variant
    from vicl.engine import Encoder


@dataclass(frozen=True)
class EncoderRow:
    """An encoder by name.

    Attributes:
        name: What :func:`vicl.load_encoder` takes.
        make: Makes it, on a device.
        use: What it is, in a line.
        weights: Its weights; None for one that has none.
    """

    name: str
    make: Callable[[torch.device], Encoder]
    use: str
    weights: PackagedWeights | None = None


def _handmade(device: torch.device) -> Encoder:
    from vicl.encoders.handmade import HandMade

    return HandMade()


def _lite(variant: Variant, device: torch.device) -> Encoder:
    from vicl.encoders.efficientnet_lite import EfficientNetLite

    return EfficientNetLite(variant, device)


ENCODERS: Final[tuple[EncoderRow, ...]] = (
    EncoderRow(
        "efficientnet-lite2",
        functools.partial(_lite, 2),
        "an ImageNet network of 6.1 million weights: knows what things are",
        PACKAGED["efficientnet-lite2"],
    ),
    EncoderRow(
        "efficientnet-lite0",
        functools.partial(_lite, 0),
        "its smaller sister, of 4.7 million",
        PACKAGED["efficientnet-lite0"],
    ),
    EncoderRow("handmade", _handmade, "colours, texture, saliency and shape; nothing is learned"),
)
