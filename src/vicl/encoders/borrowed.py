"""An encoder of five levels whose upper three are another's, which sees what things are.

Transformers see no edges: their levels are all of one coarse grid. Heads of the engine `matching`
read the lower two levels as features, and of the upper three likenesses alone, in which no feature
of an encoder is left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Final, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.engine import Encoder, Features
from vicl.images import resize

_STEP: Final = 16
"""Pixels from one place of the borrowed levels to the next."""

_KEPT, _BORROWED = 2, 3
"""Levels of the one that stay, and those of the other that follow."""

_T = TypeVar("_T")


class Borrowed:
    """The first two levels of one encoder, then the last three of another.

    Args:
        own: Of five levels.
        other: Sees parts, objects and things: its last levels, the last again where it has fewer.
            An image is scaled for it, so that its last level has a place for each of 16 pixels.

    Sides of images are multiples of what `own` needs, which may be more than the strides say: 32
    for EfficientNet-Lite.
    """

    def __init__(self, own: Encoder, other: Encoder) -> None:
        self.own, self.other = own, other
        self.name = f"{own.name}+{other.name}"
        self.strides: tuple[int, ...] = (*own.strides[:_KEPT], *[_STEP] * _BORROWED)
        self.channels: tuple[int, ...] = (*own.channels[:_KEPT], *_last(other.channels))

    def __repr__(self) -> str:
        return f"Borrowed({self.own.name!r}, {self.other.name!r})"

    @cached_property
    def weights_hash(self) -> str | None:
        """Of both encoders' together."""
        both = f"{self.own.weights_hash} {self.other.name} {self.other.weights_hash}"
        return hashlib.sha256(both.encode()).hexdigest()

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Features:
        """See :meth:`vicl.engine.Encoder.encode`.

        Raises:
            ValueError: If `h` or `w` is not a multiple of what `own` needs.
        """
        own = self.own.encode(image)
        grid = (image.shape[2] // _STEP, image.shape[3] // _STEP)
        step = max(self.other.strides)
        scaled = [resize(one, (step * grid[0], step * grid[1])) for one in image]
        seen = self.other.encode(torch.stack(scaled))
        levels = (F.adaptive_avg_pool2d(level.to(own.whole), grid) for level in _last(seen.levels))
        return Features((*own.levels[:_KEPT], *levels), seen.whole.to(own.whole))


def _last(levels: Sequence[_T]) -> list[_T]:
    padded = [*levels, *[levels[-1]] * (_BORROWED - len(levels))]
    return padded[-_BORROWED:]
