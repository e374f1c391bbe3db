"""What an extract holds: its figures, its papers, and the scores of its figures."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from vicl.figures.arxiv.extract.extracting import FIGURES
from vicl.figures.arxiv.identifiers import PaperId
from vicl.figures.arxiv.papers import PAPERS
from vicl.files import FileError, display, hash_file, open_plain
from vicl.files.journal import complete_lines
from vicl.files.plain_json import parse_json

SCORES: Final = "scores.jsonl"
"""Of the filter: the score of each figure."""


@dataclass(frozen=True)
class FigureRow:
    """A line of `figures.jsonl`.

    Attributes:
        paper: Whose figure it is.
        file: Below the extract's folder.
        sha256: Of the file, in hex.
        width: In pixels.
        height: In pixels.
        row: All of the line.
        at: Where the line begins, in bytes.
    """

    paper: PaperId
    file: str
    sha256: str
    width: int
    height: int
    row: dict[str, Any]
    at: int = 0

    @property
    def order(self) -> tuple[str, str, int, str]:
        """The earliest paper stands first, then its versions, then the names of its figures."""
        year, month = self.paper.folder[:2], self.paper.folder[2:]
        century = "19" if year >= "91" else "20"
        return f"{century}{year}{month}", self.paper.number, self.paper.version or 0, self.file


def figures_of(extracted: Path) -> Iterator[FigureRow]:
    """Read the figures of an extract, one after the other.

    Args:
        extracted: Its folder.

    Raises:
        FileError: If it is no folder of an extract that came to its end, or a line is none of a
            figure.
    """
    path = _figures_path(extracted)
    if path.stat().st_size == 0:
        return
    at = 0
    with open_plain(path) as stream:
        for number, line in enumerate(stream, 1):
            yield _figure(line, f"{display(path)}, line {number}", at)
            at += len(line)


def figures_digest(extracted: Path) -> str:
    """SHA-256 of what is said of an extract's figures, in hex; of an extract without any, too.

    Raises:
        FileError: If it is no folder of an extract that came to its end.
    """
    path = _figures_path(extracted)
    return hash_file(path) if path.stat().st_size else hashlib.sha256().hexdigest()


def _figures_path(extracted: Path) -> Path:
    path = extracted / FIGURES
    if not path.is_file():
        raise FileError(
            f"{display(extracted)}: has no {FIGURES}; give a folder of `vicl figures extract` that "
            "came to its end"
        )
    return path


def figures_at(extracted: Path, places: Iterable[int]) -> list[FigureRow]:
    """Read some figures of an extract by where their lines begin.

    Raises:
        FileError: If a line is none of a figure.
    """
    found, path = [], extracted / FIGURES
    with open_plain(path) as stream:
        for at in places:
            stream.seek(at)
            found.append(_figure(stream.readline(), f"{display(path)}, byte {at}", at))
    return found


def _figure(line: bytes, name: str, at: int) -> FigureRow:
    try:
        row = parse_json(line)
        paper = PaperId.parse(row["paper_id"]).of_version(row["version"])
        file, sha256 = row["file"], row["sha256"]
        width, height = row["width"], row["height"]
    except (ValueError, TypeError, KeyError) as error:
        raise FileError(f"{name}: is none of a figure; extract anew") from error
    place = PurePosixPath(file if isinstance(file, str) else "/")
    numbers = isinstance(width, int) and isinstance(height, int)
    if place.is_absolute() or ".." in place.parts or not str(file).isprintable() or not numbers:
        raise FileError(f"{name}: names a file outside the folder, or no size; extract anew")
    return FigureRow(paper, file, str(sha256), width, height, row, at)


def papers_in(extracted: Path) -> dict[PaperId, dict[str, Any]]:
    """The papers of an extract: of several lines of a paper the last one counts.

    Raises:
        FileError: If a line is none of a paper.
    """
    path, found = extracted / PAPERS, {}
    for number, line in enumerate(complete_lines(path) if path.exists() else (), 1):
        try:
            row = parse_json(line)
            found[PaperId.parse(row["paper_id"]).of_version(row["version"])] = row
        except (ValueError, TypeError, KeyError) as error:
            raise FileError(
                f"{display(path)}, line {number}: is none of a paper; extract anew"
            ) from error
    return found


def scores_of(extracted: Path) -> dict[tuple[str, str], float] | None:
    """The scores of an extract's figures by file and SHA-256; None where they were not scored.

    Raises:
        FileError: If a line is none of a score.
    """
    path, found = extracted / SCORES, {}
    if not path.exists():
        return None
    for number, line in enumerate(complete_lines(path), 1):
        try:
            row = parse_json(line)
            figure = str(row["file"]), str(row["sha256"])
            found[figure] = float(row["score"])
        except (ValueError, TypeError, KeyError) as error:
            raise FileError(
                f"{display(path)}, line {number}: is none of a score; filter anew"
            ) from error
        if not math.isfinite(found[figure]):
            raise FileError(f"{display(path)}, line {number}: its score is no number; filter anew")
    return found
