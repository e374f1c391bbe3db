"""Episodes for the head: examples and a query of the bank, matched.

What episode n is, follows from the seed and n alone.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import Dataset

from vicl.models.matching.cues import PLACE, Marks, compare, gather, learn
from vicl.models.matching.sizes import is_seen
from vicl.models.matching.view import FINE, View
from vicl.training.matching.bank import Bank, Row, open_bank
from vicl.training.recipe.head import HeadData
from vicl.training.seeds import Purpose, numbers

_LEAST_SHOWN, _MOST_SHOWN = 0.006, 0.85
"""Share of a picture that a thing fills."""

_ALL: Final = "*"
"""All classes of a picture together."""

_TRIES: Final = 50
_DROPPED: Final = 0.03
"""Share of the cues that are dropped, one by one."""

_STROKES: Final = 0.02
"""Share of each side of a mask that scribbles mark."""


@dataclass(frozen=True)
class Drawn:
    """What an episode asks: rows of the bank, and the classes that are asked for.

    Attributes:
        examples: Rows that show them.
        query: Row that is asked about.
        classes: By their names, which mean something else in another source or group.
        there: Whether the query shows any of them.
    """

    examples: tuple[int, ...]
    query: int
    classes: tuple[str, ...]
    there: bool


@dataclass(frozen=True, eq=False)
class Chooser:
    """Chooses episodes among the rows of a bank."""

    rows: tuple[Row, ...]
    data: HeadData

    @cached_property
    def _by_class(self) -> list[dict[tuple[str, str], list[int]]]:
        """For each source: the rows that show a class well, by group and class."""
        count = 1 + max(row.source for row in self.rows)
        found: list[dict[tuple[str, str], list[int]]] = [defaultdict(list) for _ in range(count)]
        for index, row in enumerate(self.rows):
            for name, share in row.shares.items():
                if _LEAST_SHOWN <= share <= _MOST_SHOWN:
                    found[row.source][row.group, name].append(index)
            if len(row.classes) > 1 and sum(row.shares.values()) <= _MOST_SHOWN:
                found[row.source][row.group, _ALL].append(index)
        return [
            {key: rows for key, rows in one.items() if len({self.rows[i].origin for i in rows}) > 1}
            for one in found
        ]

    @cached_property
    def _keys(self) -> list[list[tuple[str, str]]]:
        return [[key for key in one if key[1] != _ALL] for one in self._by_class]

    @cached_property
    def _by_group(self) -> dict[tuple[int, str], list[int]]:
        found: dict[tuple[int, str], list[int]] = defaultdict(list)
        for index, row in enumerate(self.rows):
            found[row.source, row.group].append(index)
        return found

    @cached_property
    def _groups(self) -> dict[int, list[tuple[int, str]]]:
        found: dict[int, list[tuple[int, str]]] = defaultdict(list)
        for key in self._by_group:
            found[key[0]].append(key)
        return found

    def _elsewhere(self, source: int) -> list[int]:
        """Sources that show nothing of a source: not scenes, which stand on photographs of all."""
        composed = len(self.data.photographs)
        if source == composed:
            return sorted(self._groups)
        return [one for one in sorted(self._groups) if one not in (source, composed)]

    def _weights(self) -> np.ndarray:
        there = [
            bool(keys) * weight for keys, weight in zip(self._keys, self.data.weights, strict=False)
        ]
        return np.asarray(there) / sum(there)

    def choose(self, rng: Generator) -> Drawn:
        """Choose an episode."""
        for _ in range(_TRIES):
            source = int(rng.choice(len(self._keys), p=self._weights()))
            group, name = self._keys[source][int(rng.integers(len(self._keys[source])))]
            unions = (
                self.data.photographs[source].unions if source < len(self.data.photographs) else 0
            )
            whole = (group, _ALL) in self._by_class[source] and rng.random() < 0.7 * unions
            name = _ALL if whole else name
            absent = not whole and rng.random() < self.data.absent
            query = self._query(rng, source, group, name, absent=absent)
            if query is None:
                continue
            same = [
                i
                for i in self._by_class[source][group, name]
                if self.rows[i].origin != self.rows[query].origin
            ]
            if not same:
                continue
            count = int(rng.integers(2, 5)) if rng.random() < self.data.several else 1
            examples = [int(i) for i in rng.choice(same, min(count, len(same)), replace=False)]
            classes: tuple[str, ...] = (name,)
            if not whole and not absent and rng.random() < 0.3 * unions:
                others = sorted(set(self.rows[examples[0]].shares) & set(self.rows[query].shares))
                classes = (name, others[int(rng.integers(len(others)))])
            return Drawn(tuple(examples), query, classes, not absent)
        raise ValueError("data: no episode can be drawn; the pictures share no class")

    def _query(
        self, rng: Generator, source: int, group: str, name: str, *, absent: bool
    ) -> int | None:
        if not absent:
            rows = self._by_class[source][group, name]
            return int(rows[int(rng.integers(len(rows)))])
        rows = self._by_group[source, group]
        elsewhere = self._elsewhere(source)
        if elsewhere and rng.random() < self.data.elsewhere:
            other = elsewhere[int(rng.integers(len(elsewhere)))]
            found = [key for key in self._groups[other] if key != (source, group)]
            if found:
                rows = self._by_group[found[int(rng.integers(len(found)))]]
                return int(rows[int(rng.integers(len(rows)))])
        photographs = self.data.photographs
        kinds = photographs[source].kinds if source < len(photographs) else ()
        akin = next((set(kind) for kind in kinds if name in kind), {name})
        for _ in range(20):
            index = rows[int(rng.integers(len(rows)))]
            if not akin & set(self.rows[index].shares):
                return index
        return None


class Episodes(Dataset[tuple[Tensor, ...]]):
    """Matched episodes, by number.

    Args:
        folder: Of the bank.
        data: How they are drawn.
        seed: Likewise.
        plain: Nothing is dropped at random, for looking.
    """

    def __init__(self, folder: Path, data: HeadData, seed: int, *, plain: bool = False) -> None:
        self.folder, self.data, self.seed, self.plain = folder, data, seed, plain

    @cached_property
    def bank(self) -> Bank:
        """Opened where it is used: its files are not sent to other processes."""
        return open_bank(self.folder)

    @cached_property
    def _chooser(self) -> Chooser:
        return Chooser(self.bank.rows, self.data)

    def __getstate__(self) -> dict[str, object]:
        return {name: self.__dict__[name] for name in ("folder", "data", "seed", "plain")}

    @torch.inference_mode()
    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        """What an episode shows and wants.

        Returns:
            Cues, fine cues, details, picture, truth and depth; and 1 where the deeper levels see
            what the examples mark, so that its presence can be told, else 0.
        """
        rng = numbers(self.seed, Purpose.EPISODES, number)
        drawn = self._chooser.choose(rng)
        views, marks, whole = [], [], []
        for index in drawn.examples:
            turned = rng.random() < 0.5
            inside, known = self._mask(index, drawn.classes)
            mark = Marks(_shrunk(inside & known), _shrunk(~inside & known))
            whole.append(Marks(inside.float(), (~inside).float()))
            if rng.random() < self.data.scribbles:
                mark = scribbled(rng, mark)
            views.append(_turned_view(self.bank.view(index), turned))
            marks.append(Marks(_turned(mark.inside, turned), _turned(mark.outside, turned)))
        turned = rng.random() < 0.5
        query = _turned_view(self.bank.view(drawn.query), turned)
        cues, fine = gather(compare(learn(views, marks), query), query)
        if not self.plain:
            cues = cues * torch.from_numpy(rng.random(len(cues)) >= _DROPPED)[:, None, None]
        if not self.plain and rng.random() < self.data.placeless:
            cues[PLACE] = 0
        inside, known = self._mask(drawn.query, drawn.classes if drawn.there else ())
        truth = torch.where(known, inside.float(), -1.0)
        depth = torch.from_numpy(np.array(self.bank.depths[drawn.query])).float() / 255
        depth = depth * (_shrunk(inside & known) > 0)
        return (
            cues,
            fine,
            query.levels[0],
            query.picture,
            _turned(truth, turned),
            _turned(depth, turned),
            torch.tensor(float(is_seen(whole))),
        )

    def _mask(
        self, index: int, classes: tuple[str, ...]
    ) -> tuple[Bool[Tensor, "p p"], Bool[Tensor, "p p"]]:
        """Where the classes are, and where it is known."""
        labels, row = np.array(self.bank.labels[index]), self.bank.rows[index]
        names = row.classes if classes == (_ALL,) else classes
        values = [row.classes[name] for name in names if name in row.classes]
        return torch.from_numpy(np.isin(labels, values)), torch.from_numpy(labels != 255)


def scribbled(rng: Generator, mark: Marks) -> Marks:
    """Keep strokes of each side, about 2% of its places, and forget the rest."""
    return Marks(*(_strokes(rng, side) for side in (mark.inside, mark.outside)))


def _strokes(rng: Generator, side: Float[Tensor, "f f"]) -> Float[Tensor, "f f"]:
    """A few random walks within a side."""
    places = (side > 0.9).nonzero()
    if not len(places):
        return side
    wanted = max(4, int(_STROKES * len(places)))
    kept = torch.zeros_like(side)
    for _ in range(4 * wanted):
        at = places[int(rng.integers(len(places)))].tolist()
        step = rng.normal(0, 1, 2)
        for _ in range(int(rng.integers(4, 16))):
            y, x = round(at[0]), round(at[1])
            if not (0 <= y < len(side) and 0 <= x < len(side)) or side[y, x] <= 0.9:
                break
            kept[y, x] = 1
            step = 0.8 * step + rng.normal(0, 0.4, 2)
            at = [at[0] + step[0], at[1] + step[1]]
        if int(kept.sum()) >= wanted:
            break
    return kept


def _shrunk(mask: Bool[Tensor, "p p"]) -> Float[Tensor, "f f"]:
    return F.adaptive_avg_pool2d(mask.float()[None], FINE)[0]


def _turned_view(view: View, turned: bool) -> View:
    if not turned:
        return view
    return View(tuple(level.flip(-1) for level in view.levels), view.picture.flip(-1))


def _turned(values: Tensor, turned: bool) -> Tensor:
    return values.flip(-1) if turned else values
