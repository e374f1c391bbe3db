"""What is kept to save time is found again, and bounded in number and size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vicl.models.kept import Kept, bytes_of


@dataclass(frozen=True, eq=False)
class Thing:
    values: dict[str, tuple[torch.Tensor, ...]]
    more: list[np.ndarray]
    name: str = "thing"


class Asked:
    """Asks for arrays of so many bytes, and notes which were made."""

    def __init__(self, most: int, limit: int) -> None:
        self.kept = Kept[str, np.ndarray](most, limit=limit)
        self.made = ""

    def ask(self, key: str, size: int = 1) -> None:
        self.kept.get(key, lambda: self._make(key, size))

    def _make(self, key: str, size: int) -> np.ndarray:
        self.made += key
        return np.zeros(size, np.uint8)


def test_those_asked_for_longest_ago_go_first() -> None:
    asked = Asked(2, 100)
    for key in "ababca":
        asked.ask(key)
    assert asked.made == "abca"
    assert len(asked.kept) == 2


def test_what_is_kept_has_few_bytes_together() -> None:
    assert bytes_of(Thing({"a": (torch.zeros(3), torch.zeros(2))}, [np.zeros(1)])) == 28
    asked = Asked(9, 100)
    for key, size in (("a", 40), ("b", 40), ("a", 40), ("c", 50), ("a", 40)):
        asked.ask(key, size)
    assert asked.made == "abc"
    asked.ask("b", 40)
    assert asked.made == "abcb"
    for _ in range(2):  # over the limit alone: it stays until the next one comes
        asked.ask("d", 200)
    assert asked.made == "abcbd"
    asked.ask("e")
    assert len(asked.kept) == 1
