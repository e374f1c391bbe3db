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
        make: Makes it, on a device and of a type of arithmetic.
        use: What it is, in a line.
        weights: Its weights; None for one that has none.
    """

    name: str
    make: Callable[[torch.device, torch.dtype], Encoder]
    use: str
    weights: PackagedWeights | None = None


def _handmade(device: torch.device, dtype: torch.dtype) -> Encoder:
    from vicl.encoders.handmade import HandMade

    return HandMade()


def _lite(variant: Variant, device: torch.device, dtype: torch.dtype) -> Encoder:
    from vicl.encoders.efficientnet_lite import EfficientNetLite

    return EfficientNetLite(variant, device, dtype)


def _row(
    weights: PackagedWeights, make: Callable[[torch.device, torch.dtype], Encoder]
) -> EncoderRow:
    return EncoderRow(weights.name, make, weights.title, weights)


ENCODERS: Final[tuple[EncoderRow, ...]] = (
    _row(PACKAGED["efficientnet-lite2"], functools.partial(_lite, 2)),
    _row(PACKAGED["efficientnet-lite0"], functools.partial(_lite, 0)),
    EncoderRow("handmade", _handmade, "colours, texture, saliency and shape; nothing is learned"),
)
