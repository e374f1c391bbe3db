"""What was made last, kept to save time: as far as it is small enough."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from torch import Tensor

K = TypeVar("K")
T = TypeVar("T")


class Kept(Generic[K, T]):
    """The last few things that were made or asked for, by their keys.

    Those that were not asked for longest go first, once there are more than `most`, or all together
    have more than `limit` bytes in their arrays. The last one stays in any case.

    Args:
        most: How many.
        limit: How many bytes.
    """

    def __init__(self, most: int, *, limit: int = 256 << 20) -> None:
        self.most, self.limit = most, limit
        self._kept: OrderedDict[K, tuple[T, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: K, make: Callable[[], T]) -> T:
        """One that is kept; made where it is not."""
        if key not in self._kept:
            made = make()
            self._kept[key] = made, bytes_of(made)
            self._bytes += self._kept[key][1]
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and (len(self._kept) > self.most or self._bytes > self.limit):
            self._bytes -= self._kept.popitem(last=False)[1][1]
        return self._kept[key][0]

    def __len__(self) -> int:
        return len(self._kept)


def bytes_of(value: Any) -> int:
    """Bytes of the arrays in a value, through dataclasses, mappings, tuples and lists."""
    if isinstance(value, Tensor | np.ndarray):
        return int(value.nbytes)
    if is_dataclass(value) and not isinstance(value, type):
        return sum(bytes_of(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, Mapping):
        return sum(map(bytes_of, value.values()))
    return sum(map(bytes_of, value)) if isinstance(value, tuple | list) else 0
