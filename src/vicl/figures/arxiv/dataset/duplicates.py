"""Duplicates among the figures of an extract, across papers and versions, and what is excluded.

Figures come in the order of their papers, the earliest first, and each is compared with those that
were kept before it: so what is kept depends on nothing but the figures, and what is left out is a
duplicate of a figure that is kept, never of one that is only like another duplicate.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from vicl.figures.arxiv.alone import alone
from vicl.figures.arxiv.dataset.hash_table import BOUNDS, hash_file_of, hashes_of_row
from vicl.figures.arxiv.dataset.hashing import Hashes
from vicl.figures.arxiv.dataset.near import (
    LEAST_AGREEMENT,
    Likeness,
    LookIndex,
    Looks,
    pairs_among,
)
from vicl.figures.arxiv.extracted import figures_digest, figures_of
from vicl.figures.arxiv.workers import Died, Each, run_each
from vicl.files import FileError, display, hash_file, open_atomic, remove_leftovers, write_atomic
from vicl.files.journal import Journal, complete_lines, json_line
from vicl.files.plain_json import parse_json

HASHES: Final = "hashes.jsonl"
"""Of all figures, in an extract."""

DUPLICATES: Final = "duplicates.jsonl"
"""Of the figures that are like another one, in an extract."""

SUMMARY: Final = "dedup.json"
"""What was looked for in an extract, and how many were found."""

_BLOCK: Final = 2048
"""Figures that are compared with those before them at a time."""

Verdict = Literal["excluded", "exact", "copy", "near", "unreadable"]
"""Of a figure: all but those that are only near another one are left out."""


@dataclass(frozen=True)
class Duplicate:
    """A figure that is like another one.

    Attributes:
        file: Of the figure.
        verdict: See :data:`Verdict`.
        of: File of the other one, which is kept or excluded; what is wrong, of an unreadable one.
        distance: Bits of `phash` in which they differ, of 64.
        agreement: Of their gradients, in [0, 1].
        mirrored: One is mirrored.
    """

    file: str
    verdict: Verdict
    of: str
    distance: int = 0
    agreement: float = 1.0
    mirrored: bool = False

    def row(self) -> dict[str, Any]:
        """The line of `duplicates.jsonl`."""
        return asdict(self) | {"agreement": round(self.agreement, 4)}


class Hashed(NamedTuple):
    """A figure with its hashes, or None and what is wrong with it."""

    file: str
    hashes: Hashes | None
    fault: str = ""


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        figures: How many there are.
        kept: How many of them are kept.
        counts: Of those that are like another one, by verdict.
        plain: Figures that are too plain to be told from others, but for exact duplicates.
        excluded: Pictures that no figure may be near.
    """

    figures: int
    kept: int
    counts: dict[str, int]
    plain: int
    excluded: int

    @property
    def left_out(self) -> dict[str, int]:
        """Figures that are left out, by verdict."""
        return {verdict: count for verdict, count in self.counts.items() if verdict != "near"}


def dedup(
    extracted: Path,
    excluded: Mapping[str, Hashes] | None = None,
    *,
    agreement: float = 0.9,
    workers: int = 1,
    each: Each | None = None,
    total: Callable[[int, int], Callable[[int], None]] = lambda count, done: lambda more: None,
) -> Found:
    """Find duplicates in an extract, and write them to `duplicates.jsonl` there.

    Hashes are kept in `hashes.jsonl`; a figure is hashed once.  A script that calls it needs the
    usual `if __name__ == "__main__":`.

    Args:
        extracted: The folder of an extract.
        excluded: Hashes of pictures that no figure may be near.
        agreement: From which a figure is a copy and is left out; others are only told of.
        workers: Processes that hash.
        each: Hashes the figures; None: processes of this machine.
        total: Told how many figures there are and how many have hashes; gives what is told of more.

    Raises:
        ValueError: If `agreement` is not in [0.5, 1], or `workers` not positive.
        FileError: If the extract cannot be read or written, or another run writes there.
    """
    if not LEAST_AGREEMENT <= agreement <= 1 or workers < 1:
        raise ValueError(
            f"got agreement={agreement}, workers={workers}; expected {LEAST_AGREEMENT} to 1, and "
            "at least 1"
        )
    digest = figures_digest(extracted)  # before anything is written where no extract is
    with alone(extracted):
        remove_leftovers(extracted)
        figures = _hashed(extracted, workers, each or run_each, total)
        others = dict(excluded or {})
        duplicates = find_duplicates(figures, others, agreement=agreement)
        with open_atomic(extracted / DUPLICATES) as stream:
            stream.writelines(json_line(duplicate.row()) for duplicate in duplicates)
        counts = Counter(duplicate.verdict for duplicate in duplicates)
        found = Found(
            figures=len(figures),
            kept=len(figures) - len(duplicates) + counts["near"],
            counts={verdict: count for verdict, count in sorted(counts.items()) if count},
            plain=sum(f.hashes is not None and not f.hashes.looks for f in figures),
            excluded=len(others),
        )
        said = {"figures_sha256": digest, "agreement": agreement, **asdict(found)}
        write_atomic(extracted / SUMMARY, (json.dumps(said, indent=1) + "\n").encode())
        return found


def read_duplicates(extracted: Path) -> dict[str, Verdict] | None:
    """The verdicts of an extract's figures that are like others, by file; None without `dedup`.

    Raises:
        FileError: If they are not of the figures that are there now, or are damaged.
    """
    path, summary = extracted / DUPLICATES, extracted / SUMMARY
    if not path.exists():
        return None
    advice = "run `vicl figures dedup` again"
    try:
        known = parse_json(summary.read_bytes())["figures_sha256"] if summary.exists() else None
        found = {row["file"]: row["verdict"] for row in map(parse_json, complete_lines(path))}
    except (ValueError, TypeError, KeyError) as error:
        raise FileError(f"{display(path)}: is damaged; {advice}") from error
    if known != figures_digest(extracted):
        raise FileError(f"{display(path)}: is not of the figures that are there now; {advice}")
    return found


def find_duplicates(
    figures: Sequence[Hashed], excluded: Mapping[str, Hashes], *, agreement: float
) -> list[Duplicate]:
    """Find what is excluded, and what is a duplicate of a figure before it.

    Args:
        figures: In the order in which the first of several is kept.
        excluded: See :func:`dedup`.
        agreement: See :func:`dedup`.

    Returns:
        In the order of the figures.
    """
    search = _Search(figures, excluded, agreement)
    for start in range(0, len(figures), _BLOCK):
        search.go_on(range(start, min(start + _BLOCK, len(figures))))
    return search.duplicates()


class _Search:
    """A search that has come so far."""

    def __init__(
        self, figures: Sequence[Hashed], excluded: Mapping[str, Hashes], agreement: float
    ) -> None:
        self._figures, self._agreement = figures, agreement
        self._names = list(excluded)
        self._barred = {hashes.pixels: name for name, hashes in reversed(list(excluded.items()))}
        barred = Looks.of([hashes.looks for hashes in excluded.values()])
        self._barred_looks = LookIndex(barred, np.ones(len(barred), np.bool_))
        self._looks = Looks.of([f.hashes.looks if f.hashes else () for f in figures])
        self._kept = np.zeros(len(figures), np.bool_)
        self._firsts: dict[str, int] = {}  # of each set of pixels: the first that has them
        self._same: dict[int, int] = {}
        self._found: dict[int, Duplicate] = {}

    def go_on(self, block: range) -> None:
        """Compare some more figures, all of which stand after those before."""
        new = np.array([self._is_new(number) for number in block], np.bool_)
        looks = self._looks.part(self._looks.places(block.start, block.stop))
        for number, like in self._barred_looks.likest(
            looks.part(new[looks.owners - block.start])
        ).items():
            self._tell(number, "excluded", self._names[like.of], like)
            new[number - block.start] = False
        looks = looks.part(new[looks.owners - block.start])
        earlier = LookIndex(self._looks, self._kept[self._looks.owners]).likest(looks)
        within = dict(pairs_among(looks).by_picture())
        for number in (number for number, is_new in zip(block, new, strict=True) if is_new):
            near = [earlier[number]] if number in earlier else []
            if number in within:
                pairs = within[number]
                there = np.flatnonzero(self._kept[pairs.of])
                near += [pairs.likeness(int(place)) for place in there[:1]]
            best = min(near, key=lambda like: (-like.agreement, like.of), default=None)
            self._kept[number] = best is None or best.agreement < self._agreement
            if best is not None:
                verdict: Verdict = "near" if self._kept[number] else "copy"
                self._tell(number, verdict, self._figures[best.of].file, best)

    def _is_new(self, number: int) -> bool:
        """Whether its pixels are neither excluded nor those of a figure before it."""
        file, hashes, fault = self._figures[number]
        if hashes is None:
            self._found[number] = Duplicate(file, "unreadable", fault)
        elif hashes.pixels in self._barred:
            self._found[number] = Duplicate(file, "excluded", self._barred[hashes.pixels])
        elif (first := self._firsts.setdefault(hashes.pixels, number)) != number:
            self._same[number] = first
        else:
            return True
        return False

    def _tell(self, number: int, verdict: Verdict, of: str, like: Likeness) -> None:
        file = self._figures[number].file
        self._found[number] = Duplicate(
            file, verdict, of, like.distance, like.agreement, like.mirrored
        )

    def duplicates(self) -> list[Duplicate]:
        """What was found, in the order of the figures."""
        found = dict(self._found)
        for number, first in self._same.items():
            of = self._found.get(first)
            file = self._figures[number].file
            found[number] = (
                Duplicate(file, "exact", self._figures[first].file)
                if of is None or of.verdict == "near"
                else replace(of, file=file)  # it is left out with the first
            )
        return [found[number] for number in sorted(found)]


def _hashed(
    extracted: Path,
    workers: int,
    each: Each,
    total: Callable[[int, int], Callable[[int], None]],
) -> list[Hashed]:
    """The figures of an extract in order, with their hashes, which are made where they lack."""
    figures = sorted(figures_of(extracted), key=lambda figure: figure.order)
    wanted = {figure.file: figure.sha256 for figure in figures}
    journal = Journal(extracted / HASHES, resume=True)
    try:
        known = dict(_known(journal.lines, wanted))
        journal.lines = []
        waiting = [item for item in wanted.items() if item[0] not in known]
        advance = total(len(figures), len(figures) - len(waiting))
        work = partial(_hash_figure, extracted)
        for (file, sha256), said in each(work, waiting, workers=workers, bounds=BOUNDS):
            line = {"fault": said.how} if isinstance(said, Died) else said
            known[file] = {"file": file, "sha256": sha256, **line}
            journal.append(known[file])
            advance(1)
    finally:
        journal.close()
    # In order, whichever process was the quicker; what is no figure any more is left out.
    with open_atomic(extracted / HASHES) as stream:
        stream.writelines(json_line(known[figure.file]) for figure in figures)
    return [_read(known[figure.file]) for figure in figures]


def _known(
    lines: Sequence[bytes], wanted: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a journal says of the figures that are as they were; faults are looked at again."""
    for line in lines:
        try:
            row = parse_json(line)
            if wanted.get(row["file"]) == row["sha256"] and "fault" not in row:
                _read(row)
                yield row["file"], row
        except (ValueError, TypeError, KeyError):  # it is made anew
            continue


def _read(row: Mapping[str, Any]) -> Hashed:
    if "fault" in row:
        return Hashed(row["file"], None, row["fault"])
    return Hashed(row["file"], hashes_of_row(row["hashes"]))


def _hash_figure(extracted: Path, item: tuple[str, str]) -> dict[str, Any]:
    """The hashes of a figure's file, which must have the SHA-256 with which it was extracted."""
    file, sha256 = item
    try:
        if hash_file(extracted / file) != sha256:
            return {"fault": f"{file}: is not the file that was extracted"}
        said = hash_file_of(extracted / file)
    except FileError as error:
        said = {"fault": str(error)}
    # Wherever the folder is, it says the same.
    here = display(extracted / file)
    return {k: v.replace(here, file) if k == "fault" else v for k, v in said.items()}
