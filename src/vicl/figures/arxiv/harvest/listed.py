"""Lists of papers as files: the published CSV, identifiers line by line, another's harvest."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vicl.figures.arxiv.identifiers import PaperId
from vicl.figures.arxiv.papers import HarvestError, parse_paper
from vicl.files import display
from vicl.files.bounded import read_bounded

COLUMN: Final = "paper_id"
"""The column of identifiers in a CSV."""

_LARGEST = 1 << 28


@dataclass(frozen=True)
class Listed:
    """A list of papers.

    Attributes:
        papers: Each once, in the order of the list; without version where the list has none.
        sha256: Of sources, where the list knows them.
        rows: Lines with a paper; the published list has one a figure.
    """

    papers: tuple[PaperId, ...]
    sha256: dict[PaperId, str]
    rows: int


def read_list(path: Path) -> Listed:
    """Read a list of papers.

    Args:
        path: A CSV whose first line names a column `paper_id`, as the published list does; the
            `papers.jsonl` of a harvest; or text with an identifier a line, where what follows `#`
            is passed over.

    Raises:
        HarvestError: If it cannot be read, or a line has no identifier.
    """
    data = read_bounded(path, _LARGEST, HarvestError)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise HarvestError(f"{display(path)}: is no text in UTF-8") from error
    first = text.lstrip().partition("\n")[0]
    sha256: dict[PaperId, str] = {}
    if first.startswith("{"):
        found = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                paper = parse_paper(line.encode(), f"{display(path)}, line {number}")
                found.append(paper.id)
                if paper.sha256 is not None:
                    sha256[paper.id] = paper.sha256.lower()
    else:
        rows = _of_csv(path, text) if COLUMN in first.split(",") else _of_text(text)
        found = [_parsed(path, number, word) for number, word in rows]
    if not found:
        raise HarvestError(f"{display(path)}: has no papers; expected an identifier a line")
    return Listed(tuple(dict.fromkeys(found)), sha256, len(found))


def _of_csv(path: Path, text: str) -> Iterator[tuple[int, str]]:
    reader = csv.DictReader(io.StringIO(text.lstrip(), newline=""))
    try:
        for row in reader:
            yield reader.line_num, row[COLUMN] or ""
    except csv.Error as error:
        raise HarvestError(f"{display(path)}, line {reader.line_num}: {error}") from error


def _of_text(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if word := line.partition("#")[0].strip():
            yield number, word


def _parsed(path: Path, number: int, word: str) -> PaperId:
    try:
        return PaperId.parse(word)
    except ValueError as error:
        raise HarvestError(f"{display(path)}, line {number}: {error}") from error
