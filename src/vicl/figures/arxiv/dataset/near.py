"""Which of many pictures look like one, found by their hashes without comparing all with all.

Two looks are compared where their `phash` differ in at most `MOST_DISTANCE` of 64 bits. Such are
found exactly by multi-index hashing (M. Norouzi, A. Punjani and D. J. Fleet, "Fast Search in
Hamming Space with Multi-Index Hashing", CVPR 2012): cut into 4 bands of 16 bits, two hashes that
differ in at most 11 bits differ in at most 2 of one of the bands, so a picture is compared only
with those that stand in the 137 buckets around its own, in each band.

Their `gradients` must then confirm it: the *agreement* of two looks is the share of the rises and
falls of either that both have (Jaccard's index).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int32, Int64, UInt8, UInt16, UInt64

from vicl.figures.arxiv.dataset.hashing import (
    GRADIENT_BYTES,
    Look,
    mirrored_gradients,
    mirrored_phash,
)

MOST_DISTANCE: Final = 11
"""Bits of `phash` in which two looks of one picture may differ."""

LEAST_AGREEMENT: Final = 0.5
"""Agreement from which two looks are near each other."""

_BANDS: Final = 4
_BAND: Final = 16
_AT_ONCE: Final = 1 << 21
"""Pairs that are compared at a time, which bounds the memory."""

_MASKS: Final = np.array(
    [
        sum(1 << bit for bit in bits)
        for count in range(3)
        for bits in combinations(range(_BAND), count)
    ],
    np.uint16,
)
"""What turns a band into those that differ from it in at most 2 bits."""


@dataclass(frozen=True, eq=False)
class Looks:
    """The looks of many pictures.

    Attributes:
        owners: Numbers of the pictures, ascending.
        phashes: Of each look.
        gradients: Of each look.
    """

    owners: Int64[np.ndarray, " n"]
    phashes: UInt64[np.ndarray, " n"]
    gradients: UInt8[np.ndarray, "n 128"]

    @classmethod
    def of(cls, pictures: Sequence[tuple[Look, ...]]) -> Looks:
        """Those of pictures that are numbered from 0."""
        looks = [look for picture in pictures for look in picture]
        owners = np.repeat(np.arange(len(pictures)), [len(picture) for picture in pictures])
        gradients = np.frombuffer(b"".join(look.gradients for look in looks), np.uint8)
        return cls(
            owners.astype(np.int64),
            np.array([look.phash for look in looks], np.uint64),
            gradients.reshape(-1, GRADIENT_BYTES),
        )

    def __len__(self) -> int:
        return len(self.owners)

    def part(self, chosen: slice | Bool[np.ndarray, " n"]) -> Looks:
        """Some of them."""
        return Looks(self.owners[chosen], self.phashes[chosen], self.gradients[chosen])

    def places(self, first: int, end: int) -> slice:
        """Where those of the pictures from number `first` to before `end` stand."""
        return slice(*map(int, np.searchsorted(self.owners, (first, end))))

    def mirrored(self) -> Looks:
        """Those of the same pictures, mirrored left to right."""
        return Looks(self.owners, mirrored_phash(self.phashes), mirrored_gradients(self.gradients))


class Likeness(NamedTuple):
    """How much a picture is like another one.

    Attributes:
        of: Number of the other one.
        distance: Bits of `phash` in which they differ.
        agreement: Of their `gradients`, in [0, 1].
        mirrored: One is mirrored.
    """

    of: int
    distance: int
    agreement: float
    mirrored: bool


class Pairs(NamedTuple):
    """Pairs of pictures that are near each other.

    Attributes:
        pictures: Numbers of those that are sought, ascending.
        of: Numbers of those that they are near; of a picture the likest stands first, and of
            several that are as like the one of the lowest number.
        distances: See :class:`Likeness`.
        agreements: Likewise.
        mirrored: Likewise.
    """

    pictures: Int64[np.ndarray, " k"]
    of: Int64[np.ndarray, " k"]
    distances: UInt8[np.ndarray, " k"]
    agreements: Float[np.ndarray, " k"]
    mirrored: Bool[np.ndarray, " k"]

    @classmethod
    def ranked(cls, parts: Sequence[Pairs]) -> Pairs:
        """Several as one."""
        if not parts:
            numbers = np.zeros(0, np.int64)
            flags = np.zeros(0, np.bool_)
            return cls(numbers, numbers, flags.astype(np.uint8), flags.astype(np.float64), flags)
        joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
        pictures, of, distances, agreements, mirrored = joined
        order = np.lexsort((mirrored, distances, of, -agreements, pictures))
        return cls(*(column[order] for column in joined))

    def likest(self) -> Pairs:
        """Of each picture the first pair."""
        first = np.unique(self.pictures, return_index=True)[1]
        return Pairs(*(column[first] for column in self))

    def likeness(self, place: int) -> Likeness:
        """One of them."""
        return Likeness(
            int(self.of[place]),
            int(self.distances[place]),
            float(self.agreements[place]),
            bool(self.mirrored[place]),
        )

    def by_picture(self) -> Iterator[tuple[int, Pairs]]:
        """Pictures, each with its pairs."""
        pictures, starts = np.unique(self.pictures, return_index=True)
        ends = [*starts[1:], len(self.pictures)][: len(starts)]
        for picture, start, end in zip(pictures, starts, ends, strict=True):
            yield int(picture), Pairs(*(column[start:end] for column in self))


class LookIndex:
    """Looks in which those near others are found.

    Args:
        looks: Of which pictures.
        chosen: Which of them.
    """

    def __init__(self, looks: Looks, chosen: Bool[np.ndarray, " n"]) -> None:
        self._looks = looks
        self._places, self._starts, self._phashes = [], [], []
        places = np.flatnonzero(chosen)
        phashes = looks.phashes[places]
        for band in range(_BANDS):
            keys = _band(phashes, band)
            order = np.argsort(keys, kind="stable")
            counts = np.bincount(keys, minlength=1 << _BAND)
            self._places.append(places[order])
            self._starts.append(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
            self._phashes.append(phashes[order])

    def likest(self, looks: Looks) -> dict[int, Likeness]:
        """For each of several pictures that is near one of the index, the likest of these.

        Args:
            looks: Of the pictures that are sought; their mirror images are sought, too.
        """
        best = []
        for mirror in (False, True):
            sought = looks.mirrored() if mirror else looks
            for queries, items in self._candidates(sought.phashes):
                near = _confirmed(sought, queries, self._looks, items, mirror)
                best.append(Pairs.ranked(near).likest())
        likest = Pairs.ranked(best).likest()
        return {int(number): likest.likeness(i) for i, number in enumerate(likest.pictures)}

    def _candidates(
        self, phashes: UInt64[np.ndarray, " m"]
    ) -> Iterator[tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]]:
        """Pairs (look that is sought, look of the index) at most `MOST_DISTANCE` apart."""
        for band in range(_BANDS):
            probes = _band(phashes, band)[:, None] ^ _MASKS
            starts = self._starts[band]
            first = starts[probes].ravel()
            counts = starts[probes.astype(np.int32) + 1].ravel() - first
            for part in _chunks(np.flatnonzero(counts), counts):
                yield self._compared(band, part, first[part], counts[part], phashes)

    def _compared(
        self,
        band: int,
        probes: Int64[np.ndarray, " p"],
        first: Int32[np.ndarray, " p"],
        counts: Int32[np.ndarray, " p"],
        phashes: UInt64[np.ndarray, " m"],
    ) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
        """Compare what stands in some buckets with those who look there."""
        ends = np.cumsum(counts, dtype=np.int32)
        there = np.repeat(first - (ends - counts), counts)
        there += np.arange(ends[-1], dtype=np.int32)
        queries = probes // len(_MASKS)
        apart = np.repeat(phashes[queries], counts) ^ self._phashes[band][there]
        near = np.flatnonzero(np.bitwise_count(apart) <= MOST_DISTANCE)
        sought = queries[np.searchsorted(ends, near, side="right")]
        return sought, self._places[band][there[near]]


def pairs_among(looks: Looks) -> Pairs:
    """For each of several pictures, those before it that are near it; compares all with all."""
    found = []
    for mirror in (False, True):
        sought = looks.mirrored() if mirror else looks
        apart = np.bitwise_count(sought.phashes[:, None] ^ looks.phashes[None])
        near = (apart <= MOST_DISTANCE) & (sought.owners[:, None] > looks.owners[None])
        queries, items = np.nonzero(near)
        found += _confirmed(sought, queries, looks, items, mirror)
    return Pairs.ranked(found)


def _confirmed(
    sought: Looks,
    queries: Int64[np.ndarray, " k"],
    there: Looks,
    items: Int64[np.ndarray, " k"],
    mirror: bool,
) -> list[Pairs]:
    """Those of several pairs of looks whose gradients agree."""
    found = []
    at_once = _AT_ONCE // GRADIENT_BYTES
    for start in range(0, len(queries), at_once):
        query, item = queries[start : start + at_once], items[start : start + at_once]
        agreements = _agreement(sought.gradients[query], there.gradients[item])
        near = agreements >= LEAST_AGREEMENT
        query, item = query[near], item[near]
        found.append(
            Pairs(
                sought.owners[query],
                there.owners[item],
                np.bitwise_count(sought.phashes[query] ^ there.phashes[item]),
                agreements[near],
                np.full(len(query), mirror),
            )
        )
    return found


def _agreement(
    first: UInt8[np.ndarray, "k 128"], second: UInt8[np.ndarray, "k 128"]
) -> Float[np.ndarray, " k"]:
    one, two = first.view(np.uint64), second.view(np.uint64)
    both = np.bitwise_count(one & two).sum(axis=1, dtype=np.int64)
    either = np.bitwise_count(one | two).sum(axis=1, dtype=np.int64)
    share: Float[np.ndarray, " k"] = both / np.maximum(either, 1)
    return share


def _band(phashes: UInt64[np.ndarray, " n"], band: int) -> UInt16[np.ndarray, " n"]:
    return (phashes >> np.uint64(_BAND * band)).astype(np.uint16)


def _chunks(
    filled: Int64[np.ndarray, " f"], counts: Int32[np.ndarray, " p"]
) -> Iterator[Int64[np.ndarray, " p"]]:
    """Parts of some buckets that hold not many more than `_AT_ONCE` together."""
    total = np.cumsum(counts[filled], dtype=np.int64)
    start = 0
    while start < len(filled):
        before = total[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(total, before + _AT_ONCE, side="right")))
        yield filled[start:end]
        start = end
