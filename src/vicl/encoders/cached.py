"""The features of the last images, kept: an example that stays is encoded once."""

from __future__ import annotations

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor

from vicl.engine import Encoder, Features
from vicl.images import fingerprint

LIMIT: Final = 256 << 20
"""Of the bytes that are kept: about 140 images of EfficientNet-Lite2 at 384 px."""


class CachedEncoder:
    """An encoder that keeps what it said of the images that it saw last.

    An image is known by its pixels and size. The features that were not asked for longest go first
    once all together take more than the limit. A copy in another process starts empty.

    Args:
        encoder: Whose features they are; they are the same with and without the cache.
        limit: Most bytes of features to keep; an image that alone has more is not kept.
    """

    def __init__(self, encoder: Encoder, *, limit: int = LIMIT) -> None:
        self.encoder = encoder
        self.limit = limit
        self.name = encoder.name
        self.weights_hash = encoder.weights_hash
        self.strides = encoder.strides
        self.channels = encoder.channels
        self._kept: dict[bytes, Features] = {}
        self._bytes = 0

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Features:
        """See :meth:`vicl.engine.Encoder.encode`."""
        keys = [fingerprint(one) for one in image]
        # Taken out and put back last, so that the first of the dictionary is the least used.
        found = {key: self._kept.pop(key) for key in dict.fromkeys(keys) if key in self._kept}
        self._kept |= found
        new = {key: at for at, key in enumerate(keys) if key not in found}
        if new:
            encoded = self.encoder.encode(image[list(new.values())])
            for at, key in enumerate(new):
                # A copy: a part of a batch would keep the whole batch in memory.
                found[key] = Features(
                    tuple(level[at : at + 1].clone() for level in encoded.levels),
                    encoded.whole[at : at + 1].clone(),
                )
                self._keep(key, found[key])
        each = [found[key] for key in keys]
        levels = zip(*(one.levels for one in each), strict=True)
        return Features(
            tuple(torch.cat(level) for level in levels), torch.cat([one.whole for one in each])
        )

    def _keep(self, key: bytes, features: Features) -> None:
        size = _size(features)
        if size > self.limit:
            return
        self._kept[key] = features
        self._bytes += size
        while self._bytes > self.limit:
            oldest = next(iter(self._kept))
            self._bytes -= _size(self._kept.pop(oldest))

    def __reduce__(self) -> tuple[Any, ...]:
        return _empty, (self.encoder, self.limit)


def _empty(encoder: Encoder, limit: int) -> CachedEncoder:
    return CachedEncoder(encoder, limit=limit)


def _size(features: Features) -> int:
    return sum(part.nbytes for part in (*features.levels, features.whole))
