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


def test_those_asked_for_longest_ago_go_first() -> None:
    kept, made = Kept[str, int](2), list[str]()

    def ask(key: str) -> int:
        return kept.get(key, lambda: made.append(key) or len(made))

    assert [ask(key) for key in "ababca"] == [1, 2, 1, 2, 3, 4]
    assert made == ["a", "b", "c", "a"]
    assert len(kept) == 2


def test_what_is_kept_has_few_bytes_together() -> None:
    assert bytes_of(Thing({"a": (torch.zeros(3), torch.zeros(2))}, [np.zeros(1)])) == 28
    kept, made = Kept[int, np.ndarray](9, limit=100), list[int]()

    def ask(key: int, size: int) -> None:
        kept.get(key, lambda: made.append(key) or np.zeros(size, np.uint8))

    for key, size in ((0, 40), (1, 40), (0, 40), (2, 50), (0, 40)):
        ask(key, size)
    assert made == [0, 1, 2]
    ask(1, 40)
    assert made == [0, 1, 2, 1]
    ask(3, 200)  # over the limit alone: it stays until the next one comes
    ask(3, 200)
    assert made == [0, 1, 2, 1, 3]
    ask(4, 1)
    assert len(kept) == 1
