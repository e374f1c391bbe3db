"""Storing the source of a paper: what it is by its bytes, whether it is whole, its hash."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Final

from vicl.figures.arxiv.papers import SOURCES, Paper, Status
from vicl.files import open_atomic
from vicl.files import reason as why

LARGEST_SOURCE: Final = 512 << 20
"""Bytes of a source, by default; arXiv itself takes no larger ones without being asked."""

CHANGED: Final = "its sha256 is not the one that was listed"
"""The reason that stands with a source that is kept, but not what the list's maker had."""

_HEAD = 1024
_START = 512  # bytes by which a source is told from others, and the block of a tar's header
_MOST_INFLATED = 4 << 30
_PIECE = 1 << 20
_PAGE = re.compile(rb"\s*(?:<!doctype html|<html)", re.IGNORECASE)


class CutError(Exception):
    """A source that ends early, or is damaged."""


class WebPageError(Exception):
    """A web page in the place of a source."""


def store(chunks: Iterable[bytes], out: Path, paper: Paper, *, most: int) -> Paper:
    """Store a source below `sources/YYMM/`, whole or not at all.

    Args:
        chunks: Its bytes; not read to their end where they are not kept.
        out: The harvest's folder.
        paper: Whose it is; with the hash that it should have, if a list told one.
        most: Bytes that it may have.

    Returns:
        The paper with its status, and with file, hash and size where it is kept.

    Raises:
        CutError: If it is empty, or its compression is broken; nothing is stored.
        WebPageError: If it is a web page.
        FileError: If it cannot be written.
    """
    rest = iter(chunks)
    start = b""
    for piece in rest:
        start += piece
        if len(start) >= _START:
            break
    suffix, status, reason = _kind(start)
    if suffix is None:
        return replace(paper, status=status, reason=reason, sha256=None)
    file = f"{SOURCES}/{paper.id.folder}/{paper.id.file_name}{suffix}"
    try:
        with open_atomic(out / file) as stream:
            hashed, size = hashlib.sha256(), 0
            packed = _Inflating() if suffix == ".gz" else None
            for piece in chain([start], rest):
                size += len(piece)
                if size > most:
                    raise _UnwantedError("too-large", f"has more than {most >> 20} MiB")
                hashed.update(piece)
                if packed is not None:
                    packed.take(piece)
                stream.write(piece)
            if packed is not None and (fault := packed.end()) is not None:
                raise fault
    except _UnwantedError as found:
        return replace(paper, status=found.status, reason=str(found), sha256=None)
    sha256 = hashed.hexdigest()
    reason = CHANGED if paper.sha256 not in (None, sha256) else ""
    return replace(paper, status="kept", reason=reason, file=file, sha256=sha256, bytes=size)


def stored(out: Path, paper: Paper, *, most: int) -> Paper | None:
    """A source that a run stored, and was killed before it noted it; None if there is none.

    Args:
        out: The harvest's folder.
        paper: Whose it is.
        most: As of :func:`store`.
    """
    for suffix in (".gz", ".tar"):
        path = out / SOURCES / paper.id.folder / (paper.id.file_name + suffix)
        if path.is_file():
            # A file has its name only once it is whole; storing it again hashes it.
            return store(read_chunks(path), out, paper, most=most)
    return None


def read_chunks(path: Path) -> Iterator[bytes]:
    """A file's bytes in pieces.

    Raises:
        CutError: If it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece
    except OSError as error:
        raise CutError(f"cannot be read ({why(error)})") from error


class _UnwantedError(Exception):
    """A source that turns out not to be wanted."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status: Status = status


def _kind(start: bytes) -> tuple[str | None, Status, str]:
    """The suffix of a source that starts so; None, and why, for one that is not kept."""
    if start.startswith(b"\x1f\x8b"):
        return ".gz", "kept", ""
    if start[257:262] == b"ustar":
        return ".tar", "kept", ""
    if start.startswith(b"%PDF"):
        return None, "pdf-only", "was submitted as PDF"
    if start.startswith(b"%!PS"):
        return None, "other", "was submitted as PostScript"
    if _PAGE.match(start):
        raise WebPageError("a web page came in its place")
    if not start:
        raise CutError("it is empty")
    return None, "other", "is neither an archive nor PDF"


class _Inflating:
    """Unpacks gzip as it comes, keeping only its head, to see whether it is whole."""

    def __init__(self) -> None:
        self._unpack = zlib.decompressobj(31)
        self._head, self._size = b"", 0

    def take(self, piece: bytes) -> None:
        """Go on with the next bytes.

        Raises:
            CutError: If they are damaged.
        """
        # A bomb is not unpacked to its end here: who opens it has limits of its own.
        while piece and not self._unpack.eof and self._size < _MOST_INFLATED:
            try:
                out = self._unpack.decompress(piece, _PIECE)
            except zlib.error as error:
                raise CutError(f"its compression is damaged ({error})") from error
            self._size += len(out)
            self._head += out[: _HEAD - len(self._head)]
            piece = self._unpack.unconsumed_tail

    def end(self) -> Exception | None:
        """What is wrong with the whole; None if nothing is."""
        if not self._unpack.eof and self._size < _MOST_INFLATED:
            return CutError("its compression ends early")
        if self._size < 2 * _HEAD and self._head.lstrip().startswith(b"%auto-ignore"):
            return _UnwantedError("withdrawn", "its source is only a note (%auto-ignore)")
        if self._head.startswith(b"%PDF"):
            return _UnwantedError("pdf-only", "was submitted as PDF")
        return None
