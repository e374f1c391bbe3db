"""Telling images apart by their pixels: an object may change and keep its identity."""

from __future__ import annotations

import hashlib

from torch import Tensor


def fingerprint(*images: Tensor) -> bytes:
    """32 bytes that only tensors of these pixels, types, sizes and devices have, in this order."""
    digest = hashlib.blake2b(digest_size=32)
    for image in images:
        digest.update(f"{tuple(image.shape)} {image.dtype} {image.device}".encode())
        digest.update(image.detach().cpu().contiguous().numpy().data)
    return digest.digest()
