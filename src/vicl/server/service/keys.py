"""API keys: whoever shows one is answered."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence


class Keys:
    """The keys of a service; false where there are none, and everybody is answered.

    Args:
        keys: As they were given.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._hashes = [hashlib.sha256(key.encode()).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def shown(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request shows one, as :func:`given_key` finds it.

        All are compared, each in a time that does not hang on what was shown.
        """
        hashed = hashlib.sha256(given_key(headers)).digest()
        return any([hmac.compare_digest(hashed, key) for key in self._hashes])  # noqa: C419


def given_key(headers: Mapping[bytes, bytes]) -> bytes:
    """What a request shows as its key, right or wrong; empty where it shows none.

    `Authorization: Basic` counts by its password: some programs can send no other.
    """
    kind, _, word = headers.get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"bearer":
        return word.strip()
    if kind.lower() == b"basic":
        try:
            return base64.b64decode(word.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return headers.get(b"x-api-key", b"")


def check_keys(keys: Sequence[str]) -> None:
    """Refuse keys that can be guessed.

    Raises:
        ValueError: If one has fewer than 16 characters, or some that no header holds.
    """
    for key in keys:
        if len(key) < 16 or not (key.isascii() and key.isprintable()) or " " in key:
            raise ValueError(
                "a key has at least 16 characters, plain ones without spaces; make one with "
                'python -c "import secrets; print(secrets.token_urlsafe(32))"'
            )
