"""Telling images apart by their pixels: an object may change and keep its identity."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_SETTLED: Final[Any] = WeakTensorKeyDictionary()
"""Of images that nobody writes into any more: their version, and what they are known by, or None
before they were asked for."""


def fingerprint(*images: Tensor) -> bytes:
    """32 bytes that only tensors of these pixels, types, sizes and devices have, in this order."""
    each = [_of(image) for image in images]
    return each[0] if len(each) == 1 else hashlib.blake2b(b"".join(each), digest_size=32).digest()


def settle(*images: Tensor) -> None:
    """Say that nobody writes into these any more: they are looked through once.

    A write whose version PyTorch counts is heeded still; one through an array that shares the
    memory, or through `data`, is not.
    """
    for image in images:
        if image not in _SETTLED and not image.is_inference():
            _SETTLED[image] = image._version, None


def _of(image: Tensor) -> bytes:
    settled: tuple[int, bytes | None] | None = _SETTLED.get(image)
    if settled is None:
        return _computed(image)
    version, known = settled
    if known is None or version != image._version:
        version = image._version  # before what takes time: another thread may write
        known = _computed(image)
        _SETTLED[image] = version, known
    return known


def _computed(image: Tensor) -> bytes:
    digest = hashlib.blake2b(digest_size=32)
    digest.update(f"{tuple(image.shape)} {image.dtype} {image.device}".encode())
    digest.update(image.detach().cpu().contiguous().numpy().data)
    return digest.digest()
