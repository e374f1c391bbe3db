"""What was made last, kept to save time: as far as it is small enough."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Kept(Generic[K, T]):
    """The last few things that were made or asked for, by their keys; threads may share it.

    Those that were not asked for longest go first, once there are more than `most`, or all together
    have more than `limit` bytes in their arrays. The last one stays in any case.

    Args:
        most: How many.
        limit: How many bytes.
    """

    def __init__(self, most: int, *, limit: int = 256 << 20) -> None:
        self.most, self.limit = most, limit
        self._kept: OrderedDict[K, tuple[T, int]] = OrderedDict()

    def get(self, key: K, make: Callable[[], T]) -> T:
        """One that is kept; made where it is not."""
        # Each step is one of the dictionary's own, so that threads need no lock, which no process
        # could be sent; two that make the same at once make it twice.
        found = self._kept.pop(key, None)
        if found is None:
            made = make()
            found = made, bytes_of(made)
        self._kept[key] = found
        held = list(self._kept.values())
        total = sum(size for _, size in held)
        for _, size in held[:-1]:
            if len(self._kept) <= self.most and total <= self.limit:
                break
            with contextlib.suppress(KeyError):  # another thread emptied it
                self._kept.popitem(last=False)
            total -= size
        return found[0]

    def __len__(self) -> int:
        return len(self._kept)


def bytes_of(value: Any) -> int:
    """Bytes of the arrays in a value, through dataclasses, mappings, tuples and lists.

    What has `nbytes` says itself.
    """
    if (own := getattr(value, "nbytes", None)) is not None:
        return int(own)
    if is_dataclass(value) and not isinstance(value, type):
        return sum(bytes_of(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, Mapping):
        return sum(map(bytes_of, value.values()))
    return sum(map(bytes_of, value)) if isinstance(value, tuple | list) else 0
