"""What is known of each paper of a harvest: a line of `papers.jsonl`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError

from vicl.figures.arxiv.identifiers import SOURCE_SUFFIXES, PaperId
from vicl.files import FileError, display
from vicl.files.faults import said
from vicl.files.journal import complete_lines

PAPERS: Final = "papers.jsonl"
"""The file of a harvest's papers, in its folder."""

SOURCES: Final = "sources"
"""The folder of a harvest's sources, in its folder."""

Status = Literal[
    "kept", "withdrawn", "pdf-only", "missing", "too-large", "broken", "other", "failed", "listed"
]
"""What became of a paper.

`broken` is damaged where it comes from, `other` neither TeX nor PDF. A `failed` one is tried again
in the next run, and one that is `listed` was not tried yet.
"""


class HarvestError(FileError):
    """A list, a harvest or a service that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Paper:
    """A paper and its source.

    Attributes:
        paper_id: Without version.
        version: The one whose source this is; None where nobody knows.
        status: See :data:`Status`.
        reason: Why there is no source; empty where there is.
        file: Its source, below the harvest's folder; None if there is none.
        sha256: Of the source, in hex.
        bytes: Of the source.
        title: As the API gives it.
        categories: arXiv's; the primary one stands first.
        published: Date of version 1, `YYYY-MM-DD`.
        licence: The licence's address, where the API gives it.
    """

    paper_id: str
    version: int | None = None
    status: Status = "kept"
    reason: str = ""
    file: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    title: str | None = None
    categories: tuple[str, ...] = ()
    published: str | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        """Check what a stranger's list could use to reach elsewhere.

        Raises:
            ValueError: If the identifier is none, or the file lies outside the folder.
        """
        if PaperId.parse(str(self.id)) != self.id:
            raise ValueError(
                f"got paper_id {self.paper_id[:60]!r} and version {self.version}, expected an "
                "identifier without version, and a version from 1"
            )
        if self.file is not None:
            path = PurePosixPath(self.file)
            if path.is_absolute() or ".." in path.parts or "\0" in self.file or not path.parts:
                raise ValueError(f"got file {self.file[:60]!r}, expected one below the folder")

    @property
    def id(self) -> PaperId:
        """Its identifier, with the version."""
        return PaperId(self.paper_id, self.version)

    def row(self) -> dict[str, Any]:
        """The line of `papers.jsonl`."""
        return dataclasses.asdict(self)


_PAPER: Final = TypeAdapter(Paper)


def parse_paper(line: bytes, name: str) -> Paper:
    """Read a line of `papers.jsonl`; keys that are not known are passed over.

    Args:
        line: JSON.
        name: What messages call it.

    Raises:
        HarvestError: If it is none.
    """
    try:
        return _PAPER.validate_json(line)
    except ValidationError as error:
        raise HarvestError(f"{name}: is no paper of a harvest: {said(error)}") from error


def read_papers(path: Path) -> dict[PaperId, Paper]:
    """Read `papers.jsonl`, also while it grows: of several lines for a paper the last one counts.

    Raises:
        HarvestError: If a line is none of a paper.
    """
    lines = complete_lines(path) if path.exists() else []
    papers = (parse_paper(x, f"{display(path)}, line {i}") for i, x in enumerate(lines, 1) if x)
    return {paper.id: paper for paper in papers}


def papers_of(folder: Path) -> list[Paper]:
    """The papers of a folder whose sources are there: of a harvest, or of any folder of archives.

    A folder without `papers.jsonl` is searched for files that are named by an identifier; nothing
    but that is known of them.

    Returns:
        Sorted by identifier and file.

    Raises:
        HarvestError: If there is no such folder, or there are no sources in it.
    """
    if not folder.is_dir():
        raise HarvestError(f"{display(folder)}: is no folder; give a harvest, or one of archives")
    if (folder / PAPERS).exists():
        papers = [paper for paper in read_papers(folder / PAPERS).values() if paper.file]
    else:
        papers = [
            Paper(paper.number, paper.version, file=path.relative_to(folder).as_posix())
            for path, paper in named_sources(folder)
        ]
    if not papers:
        raise HarvestError(
            f"{display(folder)}: has no sources of papers; expected {PAPERS} of a harvest, or "
            f"files such as 2209.00647v1.gz ({', '.join(SOURCE_SUFFIXES)})"
        )

    def place(paper: Paper) -> tuple[str, int, bool, str]:
        # A PDF beside a source is the paper as its readers have it.
        file = paper.file or ""
        return paper.paper_id, paper.version or 0, file.endswith(".pdf"), file

    return sorted(papers, key=place)


def named_sources(folder: Path) -> Iterator[tuple[Path, PaperId]]:
    """The files below a folder whose names are those of sources, in order, with their papers."""
    for path in sorted(folder.rglob("*")):
        paper = PaperId.of_file(path.name)
        if paper is not None and path.is_file():
            yield path, paper
