"""A name's own number, by which shares are drawn that stay when other names come or go."""

from __future__ import annotations

import hashlib
import os


def unit_hash(name: str) -> float:
    """A number in [0, 1) that a name stands for, the same everywhere and always."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
