"""Sources that are on this machine already: archives in folders, and arXiv's bulk tars of them."""

from __future__ import annotations

import functools
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vicl.figures.arxiv.harvest.sources import read_chunks
from vicl.figures.arxiv.identifiers import PaperId
from vicl.figures.arxiv.papers import HarvestError
from vicl.files import display, reason
from vicl.images.tars import tar_members

_PIECE: Final = 1 << 20


@dataclass(frozen=True)
class Found:
    """A source that was found.

    Attributes:
        id: The paper, with a version where the name tells it.
        name: For messages.
        chunks: Reads it; of a bulk tar's member only until the next one is asked for.
    """

    id: PaperId
    name: str
    chunks: Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class LocalFiles:
    """What folders and files hold.

    Attributes:
        sources: Files that are named by an identifier, with it.
        bulk: Other tar files, which hold such files.
    """

    sources: tuple[tuple[Path, PaperId], ...]
    bulk: tuple[Path, ...]

    @property
    def newest(self) -> dict[str, int]:
        """The highest version that there is, by paper, of files whose names tell it."""
        found: dict[str, int] = {}
        for _, paper in self.sources:
            found[paper.number] = max(paper.version or 0, found.get(paper.number, 0))
        return found


def find_local(places: Sequence[Path], *, apart: Path) -> LocalFiles:
    """Look through folders, and files.

    Args:
        places: Folders with everything below them, or single files.
        apart: A folder that is passed over: that of the harvest itself.

    Raises:
        HarvestError: If a place is not there, or there is nothing in any of them.
    """
    sources, bulk = [], []
    for place in places:
        if not place.exists():
            raise HarvestError(f"{display(place)}: no such file or folder; check the path")
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if not path.is_file() or path.resolve().is_relative_to(apart.resolve()):
                continue
            paper = PaperId.of_file(path.name)
            if paper is not None:
                sources.append((path, paper))
            elif path.suffix == ".tar":
                bulk.append(path)
    if not sources and not bulk:
        raise HarvestError(
            f"{', '.join(map(display, places))}: no sources of papers; expected files such as "
            "2209.00647v1.gz or cs0112017.gz, or tar files of them such as arXiv_src_2209_001.tar"
        )
    return LocalFiles(tuple(dict.fromkeys(sources)), tuple(dict.fromkeys(bulk)))


def plain_sources(files: Iterable[tuple[Path, PaperId]]) -> Iterator[Found]:
    """The files that are sources themselves."""
    for path, paper in files:
        yield Found(paper, display(path), functools.partial(read_chunks, path))


def bulk_sources(path: Path) -> Iterator[Found]:
    """The sources in a bulk tar; members with other names are passed over.

    Raises:
        HarvestError: If the tar is damaged or cut short; what came before it was whole.
    """
    try:
        with path.open("rb") as raw:
            for tar, member in tar_members(raw):
                paper = PaperId.of_file(member.name.rpartition("/")[2])
                stream = tar.extractfile(member) if paper and member.isreg() else None
                if paper is not None and isinstance(stream, io.BufferedReader):
                    chunks = functools.partial(_member_chunks, path, stream)
                    yield Found(paper, f"{display(path)}: {paper}", chunks)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _damaged(path, error) from error


def _member_chunks(path: Path, stream: io.BufferedReader) -> Iterator[bytes]:
    try:
        while piece := stream.read(_PIECE):
            yield piece
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> HarvestError:
    return HarvestError(
        f"{display(path)}: is damaged, or cut short ({reason(error)}); get it again"
    )
