"""API keys: whoever shows one is answered."""

from __future__ import annotations

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
        """Whether a request shows one, as `Authorization: Bearer KEY` or `X-API-Key: KEY`.

        All are compared, each in a time that does not hang on what was shown.
        """
        kind, _, word = headers.get(b"authorization", b"").partition(b" ")
        given = word.strip() if kind.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        hashed = hashlib.sha256(given).digest()
        return any([hmac.compare_digest(hashed, key) for key in self._hashes])  # noqa: C419


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
